package org.kaval.devices.virtio;

/// What a client of the host says first: `CONNECT 1234` and a newline. One thread.
final class VsockHello {
    /// Of a connection that needs none.
    static final VsockHello NONE = new VsockHello();

    private static final String BEGINNING = "CONNECT ";
    private static final long MAX_PORT = 0xffff_ffffL;

    private int length;
    private long port;
    private boolean complete;
    private boolean digits;

    /// Takes the next byte, unless it is {@link #isComplete complete}.
    ///
    /// @return false if that is not how it goes on
    boolean take(byte next) {
        if (length < BEGINNING.length()) {
            return next == BEGINNING.charAt(length++);
        }
        if (next == '\n') {
            complete = digits;
            return complete;
        }
        if (next < '0' || next > '9') {
            return false;
        }
        digits = true;
        port = 10 * port + next - '0';
        return port <= MAX_PORT;
    }

    boolean isComplete() {
        return complete;
    }

    /// Which port of the guest's it is to be, once it is complete: unsigned.
    int port() {
        return (int) port;
    }
}
