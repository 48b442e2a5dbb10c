package org.kaval.vcpu;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/// Which ports and addresses a guest accesses most: a table of fixed size, in sets of four.
///
/// An address that finds its set full takes the place of the rarest one there, once accesses that
/// found the set full are as many as that one has had. So what is accessed again and again stays,
/// however many others come once.
///
/// Written by the vCPU's thread, without allocation; read by any, exactly only while the vCPU is
/// paused.
final class AccessCounts {
    static final int WAYS = 4;
    static final int SETS = 64;

    private static final VarHandle LONGS = MethodHandles.arrayElementVarHandle(long[].class);

    /// 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming, vol. 3, §6.4).
    private static final long MULTIPLIER = 0x9e37_79b9_7f4a_7c15L;

    private static final int SET_SHIFT = Long.SIZE - Integer.numberOfTrailingZeros(SETS);

    // a key is an address and three bits: in use, a write, memory
    private static final int ADDRESS_SHIFT = 3;
    private static final long USED = 1;
    private static final long WRITE = 1 << 1;
    private static final long MEMORY = 1 << 2;

    private final long[] keys = new long[SETS * WAYS];
    private final long[] counts = new long[SETS * WAYS];
    private final long[] misses = new long[SETS];

    void count(boolean memory, boolean write, long address) {
        long key = address << ADDRESS_SHIFT | (memory ? MEMORY : 0) | (write ? WRITE : 0) | USED;
        int set = (int) ((key * MULTIPLIER) >>> SET_SHIFT);
        for (int i = set * WAYS; i < (set + 1) * WAYS; i++) {
            if (keys[i] == key) {
                LONGS.setOpaque(counts, i, counts[i] + 1);
                return;
            }
        }
        miss(set, key);
    }

    private void miss(int set, long key) {
        int rarest = set * WAYS;
        for (int i = rarest + 1; i < (set + 1) * WAYS; i++) {
            if (counts[i] < counts[rarest]) {
                rarest = i;
            }
        }
        if (counts[rarest] > 0 && ++misses[set] < counts[rarest]) {
            return;
        }
        misses[set] = 0;
        LONGS.setOpaque(counts, rarest, 0L);
        LONGS.setOpaque(keys, rarest, key);
        LONGS.setOpaque(counts, rarest, 1L);
    }

    /// The most frequent first. What came while its set was full is not in its count.
    List<ExitStatistics.Access> list() {
        var list = new ArrayList<ExitStatistics.Access>();
        for (int i = 0; i < keys.length; i++) {
            long key = (long) LONGS.getOpaque(keys, i);
            long count = (long) LONGS.getOpaque(counts, i);
            if (count > 0) {
                list.add(
                        new ExitStatistics.Access(
                                (key & MEMORY) != 0,
                                (key & WRITE) != 0,
                                key >>> ADDRESS_SHIFT,
                                count));
            }
        }
        list.sort(Comparator.comparingLong(ExitStatistics.Access::count).reversed());
        return List.copyOf(list);
    }
}
