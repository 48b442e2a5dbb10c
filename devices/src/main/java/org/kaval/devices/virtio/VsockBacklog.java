package org.kaval.devices.virtio;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.kaval.linux.IoVector;

/// What the guest has sent and the host has not taken yet. One thread; allocates nothing once it is
/// made.
final class VsockBacklog {
    private final MemorySegment bytes;
    private final long capacity;
    private long start;
    private long size;

    /// @param capacity in bytes
    VsockBacklog(long capacity) {
        this.capacity = capacity;
        this.bytes = Arena.ofAuto().allocate(capacity);
    }

    long size() {
        return size;
    }

    void clear() {
        start = 0;
        size = 0;
    }

    /// Appends bytes `from` to `from + length` of `source`, for which there is room.
    void add(IoVector source, long from, long length) {
        if (length > capacity - size) {
            throw new IllegalStateException("%d bytes in %d".formatted(size + length, capacity));
        }
        long end = (start + size) % capacity;
        long first = Math.min(length, capacity - end);
        source.copyTo(from, bytes, end, first);
        source.copyTo(from + first, bytes, 0, length - first);
        size += length;
    }

    /// Appends all that there is to `vector`, in place.
    void addTo(IoVector vector) {
        long first = Math.min(size, capacity - start);
        vector.add(bytes, start, first);
        vector.add(bytes, 0, size - first);
    }

    /// Forgets the first `count` bytes.
    void remove(long count) {
        start = (start + count) % capacity;
        size -= count;
    }
}
