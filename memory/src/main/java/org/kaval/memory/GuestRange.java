package org.kaval.memory;

/// A range of guest-physical addresses, `[base, base + size)`.
///
/// @param base the first address, at least 0
/// @param size in bytes, at least 1; the end does not pass 2⁶³
public record GuestRange(long base, long size) {
    public GuestRange {
        if (base < 0 || size <= 0 || base > Long.MAX_VALUE - size) {
            throw new IllegalArgumentException("no range: 0x%x+0x%x".formatted(base, size));
        }
    }

    /// The first address behind it.
    public long end() {
        return base + size;
    }

    /// Whether `length` bytes from `address` all lie in it. No sum is formed, so nothing overflows;
    /// a negative address or length, as an unsigned one beyond 2⁶³ looks, does not.
    public boolean holds(long address, long length) {
        long offset = address - base;
        return address >= base && length >= 0 && offset <= size - length;
    }

    public boolean overlaps(GuestRange other) {
        return base < other.end() && other.base < end();
    }

    @Override
    public String toString() {
        return "0x%x-0x%x".formatted(base, end() - 1);
    }
}
