package org.kaval.devices;

/// What a port of a virtio console is wired to: bytes each way.
///
/// Nothing blocks or allocates. Called by the device's thread, but for {@link #connect}.
public interface ConsolePort {
    /// Says whom to tell, on any thread, that input has come or that there is room for output
    /// again. Once, first.
    void connect(Runnable onChange);

    /// The guest has begun to use the port.
    void opened();

    /// The guest has given it up.
    void closed();

    /// Sends as many of `bytes[from, to)` as there is room for.
    ///
    /// @return how many; if it is not all, the one who is told hears of room
    int send(byte[] bytes, int from, int to);

    /// Whether there is input for the port.
    boolean hasInput();

    /// Takes as much of the input as there is, and as fits into `into[from, to)`.
    ///
    /// @return how many bytes
    int receive(byte[] into, int from, int to);
}
