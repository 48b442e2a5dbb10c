package org.kaval.devices;

/// Sees input before the guest does, and may keep some of it to itself: keys that are meant for
/// whoever runs the machine.
@FunctionalInterface
public interface InputFilter {
    /// Lets everything through.
    InputFilter NONE = (_, count) -> count;

    /// Takes out of `bytes[0, count)` what the guest is not to get. Called on the event loop's
    /// thread: does not block.
    ///
    /// @return how many bytes are left, at the beginning of `bytes`
    int filter(byte[] bytes, int count);
}
