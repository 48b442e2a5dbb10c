package org.kaval.devices.block;

import java.util.Arrays;

/// Ranges of a file, appended one after the other; neighbours become one. One thread at a time.
final class Ranges {
    private long[] offsets = new long[16];
    private long[] lengths = new long[16];
    private int count;

    void add(long offset, long length) {
        if (count > 0 && offsets[count - 1] + lengths[count - 1] == offset) {
            lengths[count - 1] += length;
            return;
        }
        if (count == offsets.length) {
            offsets = Arrays.copyOf(offsets, 2 * count);
            lengths = Arrays.copyOf(lengths, 2 * count);
        }
        offsets[count] = offset;
        lengths[count++] = length;
    }

    int count() {
        return count;
    }

    long offset(int index) {
        return offsets[index];
    }

    long length(int index) {
        return lengths[index];
    }

    void clear() {
        count = 0;
    }
}
