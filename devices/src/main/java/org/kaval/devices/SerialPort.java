package org.kaval.devices;

/// What a UART is wired to: where its output goes and where its input comes from.
///
/// The methods are called by the UART under its lock; they do not block and allocate nothing.
public interface SerialPort {
    /// What a UART's transmit FIFO holds. A driver that sees the transmitter empty writes so many
    /// bytes without looking again, as Linux' does.
    int BURST = 16;

    /// Whether {@link #send} would take {@link #BURST} bytes.
    boolean canSend();

    /// Sends a byte.
    ///
    /// @return false if there was no room, and the byte is lost
    boolean send(byte value);

    /// The next byte received, unsigned; -1 if there is none.
    int receive();

    /// The input that it has for the guest is part of the UART's state.
    default void persist(StateFields state) {}
}
