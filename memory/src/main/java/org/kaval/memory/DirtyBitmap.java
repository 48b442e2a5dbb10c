package org.kaval.memory;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.kaval.linux.Mmap;

/// Which pages of a region have been written: one bit each, lowest first, as KVM's dirty log has
/// it. Any thread; no lock.
final class DirtyBitmap {
    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

    private final long[] words;

    /// @param size of the region in bytes
    DirtyBitmap(long size) {
        words = new long[words(size)];
    }

    /// How many 64-bit words the bitmap of a region of `size` bytes has.
    static int words(long size) {
        long pages = Math.ceilDiv(size, Mmap.PAGE_SIZE);
        return Math.toIntExact(Math.ceilDiv(pages, (long) Long.SIZE));
    }

    /// Marks the pages of `[offset, offset + length)`, which lies in the region; `length` is not 0.
    void mark(long offset, long length) {
        // what was written comes before the look at the bit: whoever clears it then copies that
        VarHandle.fullFence();
        long last = (offset + length - 1) / Mmap.PAGE_SIZE;
        for (long page = offset / Mmap.PAGE_SIZE; page <= last; page++) {
            int word = (int) (page / Long.SIZE);
            long bit = 1L << (page % Long.SIZE);
            // most pages are marked already, and a plain load does not take the cache line
            if (((long) WORD.getOpaque(words, word) & bit) == 0) {
                WORD.getAndBitwiseOr(words, word, bit);
            }
        }
    }

    /// Adds its bits to `into` and clears them.
    void drainInto(long[] into) {
        for (int i = 0; i < words.length; i++) {
            if ((long) WORD.getOpaque(words, i) != 0) {
                into[i] |= (long) WORD.getAndSet(words, i, 0L);
            }
        }
    }
}
