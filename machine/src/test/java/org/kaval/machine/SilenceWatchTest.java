package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.kaval.devices.DeviceTimer;

class SilenceWatchTest {
    private static final Duration LIMIT = Duration.ofSeconds(10);

    private int calls;
    private long nanos = -1_000;
    private boolean silent = true;
    private long pending; // how long the timer waits; 0 if it does not
    private Runnable timer = () -> {};

    private final SilenceWatch watch =
            new SilenceWatch(
                    () -> nanos,
                    new DeviceTimer() {
                        @Override
                        public void set(long delayNanos, Runnable task) {
                            pending = delayNanos;
                            timer = task;
                        }

                        @Override
                        public void cancel() {
                            pending = 0;
                        }
                    },
                    LIMIT,
                    () -> silent,
                    () -> calls++);

    private void pass(Duration time) {
        nanos += time.toNanos();
    }

    @Test
    void silentGuestIsToldOfOnce() {
        watch.start();
        assertEquals(LIMIT.toNanos(), pending);
        pass(LIMIT);
        timer.run();
        timer.run();

        assertEquals(1, calls);
    }

    @Test
    void guestThatHasSpokenIsLeftAlone() {
        watch.start();
        silent = false;
        pass(LIMIT);
        timer.run();

        assertEquals(0, calls);
    }

    @Test
    void timerThatIsTooEarlyIsSetAgain() {
        watch.start();
        pass(LIMIT.minusNanos(7));
        timer.run();
        assertEquals(0, calls);
        assertEquals(7, pending);

        pass(Duration.ofNanos(7));
        timer.run();

        assertEquals(1, calls);
    }

    @Test
    void pauseBeginsAnew() {
        watch.start();
        Runnable early = timer;
        pass(LIMIT.minusSeconds(1));
        watch.pause();
        assertEquals(0, pending);
        pass(LIMIT);
        early.run(); // on its way when it was cancelled
        watch.start();
        pass(LIMIT.minusSeconds(1));
        early.run();
        assertEquals(0, calls);

        pass(Duration.ofSeconds(1));
        timer.run();

        assertEquals(1, calls);
    }
}
