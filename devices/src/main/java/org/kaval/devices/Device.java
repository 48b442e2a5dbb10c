package org.kaval.devices;

/// Registers that a guest reads and writes, through ports or through memory.
///
/// The methods are called on vCPU threads, several at once, and the guest waits: they allocate
/// nothing and do not block. Host failures are the device's own to handle, so no exception is
/// declared; {@link org.kaval.memory.GuestFault} says that the guest broke the rules, and the bus
/// answers for it.
public interface Device {
    /// The guest reads a register.
    ///
    /// @param offset from the start of the device's range; the access lies within it
    /// @param size in bytes: 1 to 8
    /// @return what it reads; bytes beyond `size` are ignored
    long read(long offset, int size);

    /// The guest writes a register.
    ///
    /// @param offset from the start of the device's range; the access lies within it
    /// @param size in bytes: 1 to 8
    /// @param value zero-extended
    void write(long offset, int size, long value);
}
