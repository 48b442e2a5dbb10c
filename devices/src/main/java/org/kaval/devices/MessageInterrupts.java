package org.kaval.devices;

import org.jspecify.annotations.Nullable;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;

/// Where interrupts come from that are messages (MSI, MSI-X): each has its own, and says at run
/// time where it goes.
///
/// Any thread.
public interface MessageInterrupts {
    /// Opens one that leads nowhere yet.
    ///
    /// @param name for messages
    MessageInterrupt open(String name) throws ErrnoException;

    /// One interrupt. Any thread.
    interface MessageInterrupt extends InterruptLine, AutoCloseable {
        /// Says where it goes from now on: what a device would write, and where.
        void route(long address, int data);

        /// What pulls it when it is signalled, for who does not do it by {@link #pulse}; null if
        /// there is no such thing.
        default @Nullable EventFd event() {
            return null;
        }

        /// What pulls it must have ended.
        @Override
        void close();
    }
}
