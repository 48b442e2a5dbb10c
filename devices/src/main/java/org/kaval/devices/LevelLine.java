package org.kaval.devices;

/// An interrupt that a device holds up until the guest has dealt with its cause. Any thread.
///
/// A device may set it while it has its own lock: what is behind a line calls no device.
@FunctionalInterface
public interface LevelLine {
    /// A line that leads nowhere.
    LevelLine NONE = _ -> {};

    /// Makes it high, which asks for the guest's attention, or low.
    void set(boolean high);
}
