package org.kaval.devices.block;

import java.util.ArrayList;
import java.util.List;

/// Buffers of one size that are used again. There are as many as were ever in use at once. Any
/// thread.
final class BufferPool {
    private final long size;
    private final List<Buffer> free = new ArrayList<>(); // guarded by this

    BufferPool(long size) {
        this.size = size;
    }

    /// A buffer with anything in it.
    synchronized Buffer take() {
        return free.isEmpty() ? Buffer.allocate(size) : free.removeLast();
    }

    synchronized void give(Buffer buffer) {
        free.add(buffer);
    }
}
