package org.kaval.devices.virtio;

/// Resets that are to be sent for packets which belong to no connection, in their order. Bounded:
/// while it is full, nothing more is taken from the guest. One thread.
final class VsockReplies {
    private static final int CAPACITY = 128;

    private final long[] hostCids = new long[CAPACITY];
    private final int[] hostPorts = new int[CAPACITY];
    private final int[] guestPorts = new int[CAPACITY];
    private final int[] types = new int[CAPACITY];
    private int first;
    private int count;

    boolean isEmpty() {
        return count == 0;
    }

    boolean isFull() {
        return count == CAPACITY;
    }

    void clear() {
        count = 0;
    }

    /// @param hostCid to whom the packet went, and from whom the answer comes
    /// @param type of the packet, and of the answer
    void add(long hostCid, int hostPort, int guestPort, int type) {
        if (isFull()) {
            throw new IllegalStateException("more than %d replies".formatted(CAPACITY));
        }
        int last = (first + count) % CAPACITY;
        hostCids[last] = hostCid;
        hostPorts[last] = hostPort;
        guestPorts[last] = guestPort;
        types[last] = type;
        count++;
    }

    /// Puts the first into `header`, and forgets it.
    void poll(VsockHeader header, long guestCid) {
        header.address(hostCids[first], hostPorts[first], guestCid, guestPorts[first])
                .type(types[first])
                .operation(VsockHeader.OP_RST, 0);
        first = (first + 1) % CAPACITY;
        count--;
    }
}
