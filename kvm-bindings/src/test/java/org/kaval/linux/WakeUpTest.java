package org.kaval.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class WakeUpTest {
    private static final int FOR_EVER = -1;

    /// Long enough that only a hang takes it.
    private static final long LIMIT_SECONDS = 30;

    @Test
    void signalThatCameBeforeIsNotLost() throws Exception {
        try (WakeUp wakeUp = WakeUp.create("door")) {
            wakeUp.signal();
            wakeUp.signal();

            assertTrue(wakeUp.await(FOR_EVER));
            assertFalse(wakeUp.await(0), "two signals for which nobody waited are one");
        }
    }

    @Test
    void eachSignalIsNew() throws Exception {
        try (WakeUp wakeUp = WakeUp.create("door")) {
            for (int i = 0; i < 100; i++) {
                wakeUp.signal();
                assertTrue(wakeUp.await(0), "signal " + i);
            }
        }
    }

    @Test
    void eachSignalWakesOneThread() throws Exception {
        int count = 4;
        try (WakeUp wakeUp = WakeUp.create("door")) {
            var woken = new Semaphore(0);
            List<Thread> threads =
                    IntStream.range(0, count)
                            .mapToObj(_ ->
                                    Thread.ofPlatform()
                                            .start(() -> {
                                                wakeUp.await(FOR_EVER);
                                                woken.release();
                                            }))
                            .toList();
            for (int i = 1; i <= count; i++) {
                wakeUp.signal();
                assertTrue(woken.tryAcquire(LIMIT_SECONDS, TimeUnit.SECONDS), "signal " + i);
                assertEquals(0, woken.drainPermits(), "signal " + i);
            }
            for (Thread thread : threads) {
                thread.join();
            }
        }
    }
}
