package org.kaval.devices.virtio;

import org.kaval.memory.GuestMemory;

/// One request of a driver: what the device reads of it, and what it writes (§2.7.5).
///
/// Used again and again: {@link VirtQueue#take} fills it. It belongs to one thread at a time.
public final class DescriptorChain {
    private final GuestBuffers readable;
    private final GuestBuffers writable;
    private int head;

    public DescriptorChain(GuestMemory memory) {
        readable = new GuestBuffers(memory);
        writable = new GuestBuffers(memory);
    }

    /// What the device reads.
    public GuestBuffers readable() {
        return readable;
    }

    /// What the device writes.
    public GuestBuffers writable() {
        return writable;
    }

    /// The index of its first descriptor, by which the driver knows it.
    int head() {
        return head;
    }

    void begin(int newHead) {
        head = newHead;
        readable.clear();
        writable.clear();
    }
}
