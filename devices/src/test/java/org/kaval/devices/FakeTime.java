package org.kaval.devices;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/// A wall clock, a monotonic clock and a timer that stand still until a test moves them.
public final class FakeTime implements InstantSource, LongSupplier, DeviceTimer {
    private Instant instant;
    private long nanos = -5_000_000_000L; // System.nanoTime may be negative
    private long due = Long.MAX_VALUE;
    private @Nullable Runnable task;

    public FakeTime(String instant) {
        this.instant = Instant.parse(instant);
    }

    @Override
    public Instant instant() {
        return instant;
    }

    @Override
    public long getAsLong() {
        return nanos;
    }

    @Override
    public void set(long delayNanos, Runnable newTask) {
        due = nanos + Math.max(1, delayNanos);
        task = newTask;
    }

    @Override
    public void cancel() {
        task = null;
    }

    /// Whether the timer runs.
    public boolean isSet() {
        return task != null;
    }

    /// In how many nanoseconds the timer expires.
    public long remaining() {
        return due - nanos;
    }

    /// Lets time pass; the timer expires when it is due.
    public void advance(Duration duration) {
        long end = nanos + duration.toNanos();
        for (Runnable next = task; next != null && due <= end; next = task) {
            move(due - nanos);
            task = null;
            next.run();
        }
        move(end - nanos);
    }

    /// Sets the wall clock, as the host's administrator may.
    public void setClock(String newInstant) {
        instant = Instant.parse(newInstant);
    }

    private void move(long delta) {
        nanos += delta;
        instant = instant.plusNanos(delta);
    }
}
