package org.kaval.devices.virtio;

/// How much each side of a connection may send (§5.10.6.3): what the other one has room for, less
/// what has not been read there. Counted modulo 2^32, as the packets have it. One thread.
final class VsockCredit {
    private final int buffer;
    private int guestAllocated;
    private int guestForwarded;
    private int sent;
    private int received;
    private int forwarded;
    private int forwardedTold;

    /// @param buffer how many bytes this side has room for
    VsockCredit(int buffer) {
        this.buffer = buffer;
    }

    void clear() {
        guestAllocated = 0;
        guestForwarded = 0;
        sent = 0;
        received = 0;
        forwarded = 0;
        forwardedTold = 0;
    }

    /// The guest says how much it takes.
    void update(VsockHeader header) {
        guestAllocated = header.allocated();
        guestForwarded = header.forwarded();
    }

    /// How many bytes the guest takes now. If what it says makes no sense, none.
    long available() {
        long inFlight = Integer.toUnsignedLong(sent - guestForwarded);
        return Math.max(0, Integer.toUnsignedLong(guestAllocated) - inFlight);
    }

    void countSent(long bytes) {
        sent += (int) bytes;
    }

    /// Counts what has come from the guest.
    ///
    /// @return false if the guest was not to send so much
    boolean countReceived(long bytes) {
        if (bytes > buffer - (received - forwarded)) {
            return false;
        }
        received += (int) bytes;
        return true;
    }

    /// Counts what has gone on to the host.
    void countForwarded(long bytes) {
        forwarded += (int) bytes;
    }

    /// Whether the guest is to hear how much has gone on, before it has to wait for that.
    boolean isWorthTelling() {
        return forwarded - forwardedTold >= buffer / 2;
    }

    /// Puts into a packet to the guest how much this side takes.
    void tell(VsockHeader header) {
        header.credit(buffer, forwarded);
        forwardedTold = forwarded;
    }
}
