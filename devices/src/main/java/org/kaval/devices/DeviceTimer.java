package org.kaval.devices;

/// Calls a device back after a while; one call at a time is pending.
///
/// Any thread. The call comes on a thread of the host's, without a lock. It may come too early, and
/// once more after {@link #cancel}: a device looks at its clock to see what is due.
public interface DeviceTimer {
    /// Calls `task` once, after `delayNanos`, instead of what was pending.
    ///
    /// @param delayNanos nanoseconds; what is less than 1 counts as 1
    void set(long delayNanos, Runnable task);

    /// Calls nothing.
    void cancel();
}
