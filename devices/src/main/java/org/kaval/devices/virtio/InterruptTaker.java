package org.kaval.devices.virtio;

import org.jspecify.annotations.Nullable;
import org.kaval.linux.EventFd;

/// Who interrupts a driver without this process.
@FunctionalInterface
public interface InterruptTaker {
    /// Says with what, from now on. When this returns, what was said before is not signalled any
    /// more.
    ///
    /// @param event leads to the driver; null if nothing does for now, and {@link
    ///   VirtQueue#interrupt} has to be called
    void interruptBy(@Nullable EventFd event);
}
