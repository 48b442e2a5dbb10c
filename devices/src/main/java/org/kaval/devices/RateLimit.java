package org.kaval.devices;

import java.util.function.LongSupplier;

/// Limits how many operations and bytes pass in a second, with two token buckets that fill steadily
/// and hold a burst.
///
/// What asks for more than there is takes it all the same and waits until the debt is paid: so a
/// request of any size passes, and the rate holds over time.
///
/// Any thread (guarded by this).
public final class RateLimit {
    private final Bucket operations;
    private final Bucket bytes;
    private final LongSupplier clock;
    private boolean cancelled;

    /// What may pass.
    ///
    /// @param perSecond how much: 0 is without limit
    /// @param burst how much may pass at once after a pause, at least 1
    public record Rate(long perSecond, long burst) {
        /// No limit.
        public static final Rate UNLIMITED = new Rate(0, 1);

        public Rate {
            if (perSecond < 0 || burst < 1) {
                throw new IllegalArgumentException(
                        "no rate: %d a second, %d at once".formatted(perSecond, burst));
            }
        }
    }

    /// Holds tokens; fewer than none are a debt.
    private static final class Bucket {
        private static final double NANOS = 1e9;

        private final Rate rate;
        private double tokens;
        private long filled;

        Bucket(Rate rate, long now) {
            this.rate = rate;
            this.tokens = (double) rate.burst;
            this.filled = now;
        }

        /// @return how many nanoseconds it takes to pay for it; 0 if it is there
        long take(long amount, long now) {
            if (rate.perSecond == 0) {
                return 0;
            }
            double gained = (double) (now - filled) * ((double) rate.perSecond / NANOS);
            tokens = Math.min((double) rate.burst, tokens + gained) - (double) amount;
            filled = now;
            return tokens >= 0 ? 0 : (long) Math.ceil(-tokens / (double) rate.perSecond * NANOS);
        }
    }

    /// @param clock in nanoseconds: {@link System#nanoTime}
    public RateLimit(Rate operations, Rate bytes, LongSupplier clock) {
        long now = clock.getAsLong();
        this.operations = new Bucket(operations, now);
        this.bytes = new Bucket(bytes, now);
        this.clock = clock;
    }

    /// Whether everything passes at once.
    public boolean isUnlimited() {
        return operations.rate.perSecond == 0 && bytes.rate.perSecond == 0;
    }

    /// Takes tokens for one operation.
    ///
    /// @return after how many nanoseconds it may begin
    long reserve(long byteCount) {
        if (isUnlimited()) {
            return 0; // without a look at the clock
        }
        synchronized (this) {
            long now = clock.getAsLong();
            return Math.max(operations.take(1, now), bytes.take(byteCount, now));
        }
    }

    /// Waits until one operation may begin.
    ///
    /// @return false if that was cancelled
    public boolean admit(long byteCount) {
        long delay = reserve(byteCount);
        return delay == 0 || await(clock.getAsLong() + delay);
    }

    private synchronized boolean await(long deadline) {
        boolean interrupted = false;
        for (long left = deadline - clock.getAsLong();
                left > 0 && !cancelled;
                left = deadline - clock.getAsLong()) {
            try {
                wait(left / 1_000_000, (int) (left % 1_000_000));
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        return !cancelled;
    }

    /// Lets nobody wait any more, until {@link #resume}: who waits is turned away.
    public synchronized void cancel() {
        cancelled = true;
        notifyAll();
    }

    /// Ends what {@link #cancel} began.
    public synchronized void resume() {
        cancelled = false;
    }
}
