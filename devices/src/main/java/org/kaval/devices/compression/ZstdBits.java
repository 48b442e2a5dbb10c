package org.kaval.devices.compression;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/// A bit stream that is read from its end to its beginning (RFC 8878 §4.1): the highest bit of the
/// last byte that is set marks the end.
///
/// Reading beyond the beginning gives zeros; {@link #left} is then negative.
final class ZstdBits {
    /// How many bytes behind a stream are looked at, whatever they are.
    static final int PADDING = 8;

    private static final VarHandle LE64 =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private final byte[] bytes;
    private final int base;
    private int left;

    /// @param bytes with {@link #PADDING} behind `end`
    /// @throws CorruptDataException if the mark is missing
    ZstdBits(Input input, byte[] bytes, int base, int end) throws CorruptDataException {
        this.bytes = bytes;
        this.base = base;
        int last = end > base ? Byte.toUnsignedInt(bytes[end - 1]) : 0;
        if (last == 0) {
            throw input.error("a bit stream that ends with a zero byte, expected a mark");
        }
        left = (end - base) * Byte.SIZE - Integer.numberOfLeadingZeros(last << 24) - 1;
    }

    /// How many bits there are still; less than 0 if there were too few.
    int left() {
        return left;
    }

    /// Reads `width` bits.
    ///
    /// @param width 0 to 32
    long read(int width) {
        left -= width;
        return at(left, width);
    }

    /// Looks at the next bits.
    ///
    /// @param width 1 to 32
    int peek(int width) {
        return (int) at(left - width, width);
    }

    /// Goes on behind bits that were looked at.
    void skip(int width) {
        left -= width;
    }

    private long at(int position, int width) {
        long mask = (1L << width) - 1;
        if (position >= 0) {
            long word = (long) LE64.get(bytes, base + (position >>> 3));
            return (word >>> (position & 7)) & mask;
        }
        if (position <= -width) {
            return 0;
        }
        return ((long) LE64.get(bytes, base) << -position) & mask;
    }
}
