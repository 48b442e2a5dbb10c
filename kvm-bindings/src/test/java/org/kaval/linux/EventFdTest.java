package org.kaval.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class EventFdTest {
    @Test
    void drainOfUnsignalledIsZero() throws Exception {
        try (EventFd event = EventFd.create("event")) {
            assertEquals(0, event.drain());
        }
    }

    @Test
    void signalsAddUpUntilDrained() throws Exception {
        try (EventFd event = EventFd.create("event")) {
            event.signal();
            event.signal();
            event.signal();
            assertEquals(3, event.drain());
            assertEquals(0, event.drain());
        }
    }

    @Test
    void signalsOfSeveralThreadsAllCount() throws Exception {
        try (EventFd event = EventFd.create("event")) {
            Runnable signals = () -> IntStream.range(0, 1000).forEach(_ -> event.signal());
            Stream.generate(() -> Thread.ofPlatform().start(signals))
                    .limit(4)
                    .toList()
                    .forEach(EventFdTest::join);
            assertEquals(4000, event.drain());
        }
    }

    @Test
    void closedEventRefusesBoth() throws Exception {
        EventFd event = EventFd.create("queue 3");
        event.close();
        event.close();
        assertThrows(IllegalStateException.class, event::signal);
        var closed = assertThrows(IllegalStateException.class, event::drain);
        assertEquals("queue 3 is closed", closed.getMessage());
    }

    private static void join(Thread thread) {
        try {
            thread.join();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }
}
