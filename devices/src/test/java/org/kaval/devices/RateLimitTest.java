package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.kaval.devices.RateLimit.Rate;

class RateLimitTest {
    private static final long SECOND = 1_000_000_000;

    private final AtomicLong now = new AtomicLong(-5); // nanoTime may be negative

    private RateLimit limit(Rate operations, Rate bytes) {
        return new RateLimit(operations, bytes, now::get);
    }

    @Test
    void withoutLimitAllPass() {
        RateLimit limit = limit(Rate.UNLIMITED, Rate.UNLIMITED);
        for (int i = 0; i < 1000; i++) {
            assertTrue(limit.admit(Long.MAX_VALUE));
        }
    }

    @Test
    void burstPassesAtOnceAndTheRestAtTheRate() {
        RateLimit limit = limit(new Rate(10, 3), Rate.UNLIMITED);

        assertEquals(0, limit.reserve(0));
        assertEquals(0, limit.reserve(0));
        assertEquals(0, limit.reserve(0));
        assertEquals(SECOND / 10, limit.reserve(0));
        assertEquals(2 * SECOND / 10, limit.reserve(0));
        now.addAndGet(SECOND / 10);
        assertEquals(2 * SECOND / 10, limit.reserve(0));
    }

    @Test
    void pauseFillsNoMoreThanTheBurst() {
        RateLimit limit = limit(new Rate(10, 2), Rate.UNLIMITED);
        now.addAndGet(1000 * SECOND);

        assertEquals(0, limit.reserve(0));
        assertEquals(0, limit.reserve(0));
        assertEquals(SECOND / 10, limit.reserve(0));
    }

    @Test
    void requestLargerThanTheBurstPassesAndIsPaidFor() {
        RateLimit limit = limit(Rate.UNLIMITED, new Rate(1000, 100));

        assertEquals(SECOND * 9 / 10, limit.reserve(1000));
        assertEquals(SECOND * 9 / 10 + SECOND / 1000, limit.reserve(1));
    }

    @Test
    void slowerOfTheTwoCounts() {
        RateLimit limit = limit(new Rate(10, 1), new Rate(1000, 1000));

        assertEquals(0, limit.reserve(1000));
        assertEquals(SECOND, limit.reserve(1000));
    }

    @Test
    void whoWaitsIsTurnedAwayWhenItIsCancelled() throws Exception {
        RateLimit limit = limit(new Rate(1, 1), Rate.UNLIMITED);
        assertTrue(limit.admit(0));
        var waiting = CompletableFuture.supplyAsync(() -> limit.admit(0));

        limit.cancel();

        assertFalse(waiting.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
        limit.resume();
        now.addAndGet(10 * SECOND);
        assertTrue(limit.admit(0));
    }

    @Test
    void whoWaitsPassesWhenItIsTime() {
        var limit = new RateLimit(new Rate(1000, 1), Rate.UNLIMITED, System::nanoTime);
        assertTrue(limit.admit(0));
        assertTrue(limit.admit(0));
    }

    @Test
    void rateThatCannotBeIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> new Rate(-1, 1));
        assertThrows(IllegalArgumentException.class, () -> new Rate(1, 0));
    }
}
