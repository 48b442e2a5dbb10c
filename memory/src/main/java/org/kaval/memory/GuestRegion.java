package org.kaval.memory;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// One piece of guest RAM: where it is, the host memory behind it, and which of its pages devices
/// have written.
final class GuestRegion {
    private final GuestRange range;
    private final MemorySegment bytes;
    private volatile @Nullable DirtyBitmap written; // null while nobody tracks

    GuestRegion(GuestRange range, MemorySegment bytes) {
        this.range = range;
        this.bytes = bytes;
    }

    GuestRange range() {
        return range;
    }

    MemorySegment bytes() {
        return bytes;
    }

    boolean holds(long address, long length) {
        return range.holds(address, length);
    }

    /// Where `address`, which it holds, is in {@link #bytes}.
    long offset(long address) {
        return address - range.base();
    }

    MemorySegment slice(long address, long length) {
        return bytes.asSlice(offset(address), length);
    }

    void track(boolean on) {
        written = on ? new DirtyBitmap(range.size()) : null;
    }

    void markWritten(long address, long length) {
        DirtyBitmap bitmap = written;
        if (bitmap != null && length > 0) {
            bitmap.mark(offset(address), length);
        }
    }

    @Nullable DirtyBitmap written() {
        return written;
    }
}
