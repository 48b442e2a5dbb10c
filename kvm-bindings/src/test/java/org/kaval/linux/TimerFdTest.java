package org.kaval.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class TimerFdTest {
    private static final long MILLISECOND = TimeUnit.MILLISECONDS.toNanos(1);
    private static final int LIMIT_MILLIS = (int) Host.LIMIT.toMillis();

    @Test
    void newTimerDoesNotRun() throws Exception {
        try (TimerFd timer = TimerFd.create("timer");
                Epoll epoll = Epoll.create()) {
            epoll.add(timer.fd(), Epoll.IN, 1);
            assertEquals(0, epoll.await(5));
            assertEquals(0, timer.drain());
        }
    }

    @Test
    void oneShotFiresOnce() throws Exception {
        try (TimerFd timer = TimerFd.create("timer");
                Epoll epoll = Epoll.create()) {
            epoll.add(timer.fd(), Epoll.IN, 1);
            timer.set(MILLISECOND, 0);
            assertEquals(1, epoll.await(LIMIT_MILLIS));
            assertEquals(1, timer.drain());
            assertEquals(0, epoll.await(5));
            assertEquals(0, timer.drain());
        }
    }

    @Test
    void secondsAndNanosecondsBothCount() throws Exception {
        try (TimerFd timer = TimerFd.create("timer");
                Epoll epoll = Epoll.create()) {
            epoll.add(timer.fd(), Epoll.IN, 1);
            long start = System.nanoTime();
            timer.set(TimeUnit.SECONDS.toNanos(1) + 1, 0);
            assertEquals(1, epoll.await(LIMIT_MILLIS));
            assertTrue(System.nanoTime() - start >= TimeUnit.SECONDS.toNanos(1));
        }
    }

    @Test
    void stoppedTimerDoesNotFire() throws Exception {
        try (TimerFd timer = TimerFd.create("timer");
                Epoll epoll = Epoll.create()) {
            epoll.add(timer.fd(), Epoll.IN, 1);
            timer.set(TimeUnit.HOURS.toNanos(1), 0);
            timer.set(0, 0);
            assertEquals(0, epoll.await(5));
        }
    }

    @Test
    void stopForgetsWhatHasExpired() throws Exception {
        try (TimerFd timer = TimerFd.create("timer");
                Epoll epoll = Epoll.create()) {
            epoll.add(timer.fd(), Epoll.IN, 1);
            timer.set(1, 0);
            assertEquals(1, epoll.await(LIMIT_MILLIS));
            timer.set(0, 0);
            assertEquals(0, timer.drain());
        }
    }

    @Test
    void periodicTimerGoesOnFiring() throws Exception {
        try (TimerFd timer = TimerFd.create("timer");
                Epoll epoll = Epoll.create()) {
            epoll.add(timer.fd(), Epoll.IN, 1);
            timer.set(1, MILLISECOND);
            assertEquals(1, epoll.await(LIMIT_MILLIS));
            assertTrue(timer.drain() >= 1);
            assertEquals(1, epoll.await(LIMIT_MILLIS));
            assertTrue(timer.drain() >= 1);
        }
    }

    @Test
    void expirationsAddUpUntilDrained() throws Exception {
        try (TimerFd timer = TimerFd.create("timer");
                TimerFd later = TimerFd.create("later");
                Epoll epoll = Epoll.create()) {
            epoll.add(later.fd(), Epoll.IN, 1);
            timer.set(MILLISECOND, MILLISECOND);
            later.set(20 * MILLISECOND, 0);
            assertEquals(1, epoll.await(LIMIT_MILLIS));
            assertTrue(timer.drain() >= 10);
        }
    }

    @Test
    void negativeTimeIsRefused() throws Exception {
        try (TimerFd timer = TimerFd.create("timer")) {
            assertThrows(IllegalArgumentException.class, () -> timer.set(-1, 0));
            assertThrows(IllegalArgumentException.class, () -> timer.set(0, -1));
        }
    }

    @Test
    void closedIsRefused() throws Exception {
        TimerFd timer = TimerFd.create("timer");
        timer.close();
        timer.close();
        assertThrows(IllegalStateException.class, () -> timer.set(1, 0));
        assertThrows(IllegalStateException.class, timer::drain);
    }
}
