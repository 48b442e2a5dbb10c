package org.kaval.machine;

import java.time.Duration;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;
import org.kaval.devices.DeviceTimer;

/// Does something once if a guest has run for a while and is still silent. A guest that has said
/// anything may be silent for as long as it likes.
///
/// Any thread (guarded by this). Time in which the machine is paused does not count: it begins
/// anew.
final class SilenceWatch {
    private final LongSupplier clock;
    private final DeviceTimer timer;
    private final long limitNanos;
    private final BooleanSupplier silent;
    private final Runnable action;
    private boolean watching;
    private long due;

    /// @param clock nanoseconds, from anywhere
    /// @param silent whether the guest runs and has said nothing yet
    /// @param action is called on the timer's thread, which it does not keep
    SilenceWatch(
            LongSupplier clock,
            DeviceTimer timer,
            Duration limit,
            BooleanSupplier silent,
            Runnable action) {
        this.clock = clock;
        this.timer = timer;
        this.limitNanos = limit.toNanos();
        this.silent = silent;
        this.action = action;
    }

    /// The guest runs from now on.
    synchronized void start() {
        watching = true;
        due = clock.getAsLong() + limitNanos;
        timer.set(limitNanos, this::look);
    }

    /// The guest stands still.
    synchronized void pause() {
        watching = false;
        timer.cancel();
    }

    private void look() {
        if (isDue() && silent.getAsBoolean()) {
            action.run();
        }
    }

    /// A timer may call too early, and after it was stopped.
    private synchronized boolean isDue() {
        if (!watching) {
            return false;
        }
        long rest = due - clock.getAsLong();
        if (rest > 0) {
            timer.set(rest, this::look);
            return false;
        }
        watching = false;
        return true;
    }
}
