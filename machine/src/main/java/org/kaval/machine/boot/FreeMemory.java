package org.kaval.machine.boot;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import org.kaval.memory.GuestRange;

/// The usable memory that nothing has been put into yet. One thread.
///
/// Addresses and sizes are at most 2⁶², so that no sum of two overflows.
final class FreeMemory {
    private List<GuestRange> free; // in ascending order

    /// The RAM that `map` calls usable and {@link BootLayout} does not need.
    FreeMemory(List<GuestRange> ram, MemoryMap map) {
        free = List.copyOf(ram);
        for (MemoryMap.Entry entry : map.entries()) {
            if (entry.type() != MemoryMap.Type.USABLE) {
                take(entry.range());
            }
        }
        take(BootLayout.ALL);
    }

    /// Takes what is free of `range`.
    void take(GuestRange range) {
        var rest = new ArrayList<GuestRange>(free.size() + 1);
        for (GuestRange piece : free) {
            rest.addAll(MemoryMap.cut(piece, range));
        }
        free = rest;
    }

    /// Whether all of `[base, base + size)` is free.
    boolean holds(long base, long size) {
        return free.stream().anyMatch(piece -> piece.holds(base, size));
    }

    /// Where the highest free `size` bytes between `from` and `end` are.
    ///
    /// @param size at least 1
    /// @param alignment a power of two
    OptionalLong highest(long size, long alignment, long from, long end) {
        for (GuestRange piece : free.reversed()) {
            long low = Math.max(piece.base(), from);
            long high = Math.min(piece.end(), end);
            long base = (high - size) & -alignment;
            if (size <= high - low && base >= low) {
                return OptionalLong.of(base);
            }
        }
        return OptionalLong.empty();
    }

    /// How large the largest piece between `from` and `end` is.
    ///
    /// @param alignment of its base, a power of two
    long largest(long alignment, long from, long end) {
        long largest = 0;
        for (GuestRange piece : free) {
            long base = roundUp(Math.max(piece.base(), from), alignment);
            largest = Math.max(largest, Math.min(piece.end(), end) - base);
        }
        return largest;
    }

    /// Where the lowest free `size` bytes between `from` and `end` are.
    ///
    /// @param size at least 1
    /// @param alignment a power of two, at most 2³¹
    OptionalLong lowest(long size, long alignment, long from, long end) {
        for (GuestRange piece : free) {
            long base = roundUp(Math.max(piece.base(), from), alignment);
            if (size <= Math.min(piece.end(), end) - base) {
                return OptionalLong.of(base);
            }
        }
        return OptionalLong.empty();
    }

    private static long roundUp(long address, long alignment) {
        return (address + alignment - 1) & -alignment;
    }
}
