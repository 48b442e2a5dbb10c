package org.kaval.vcpu;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.kaval.kvm.KvmExit;

/// How often a vCPU left its guest, by reason and by address, and the last few exits.
///
/// Written by the vCPU's thread, without allocation; read by any.
public final class ExitStatistics {
    private static final VarHandle LONGS = MethodHandles.arrayElementVarHandle(long[].class);
    private static final int KICKED = KvmExit.LIMIT;
    private static final int OTHER = KvmExit.LIMIT + 1;
    private static final int RECENT = 16;
    private static final int LONGS_PER_ENTRY = 3;

    private final long[] counts = new long[KvmExit.LIMIT + 2];
    private final AccessCounts accesses = new AccessCounts();
    private final long[] recent = new long[RECENT * LONGS_PER_ENTRY];
    private long total;

    ExitStatistics() {}

    /// Where a guest has left to user space to access something.
    ///
    /// @param memory whether `address` is guest-physical; else it is a port
    /// @param count how often, or less, if many different addresses were accessed
    public record Access(boolean memory, boolean write, long address, long count) {}

    /// Up to some hundred accesses, the most frequent first.
    public List<Access> accesses() {
        return accesses.list();
    }

    /// How often each reason occurred, by the kernel's name; `kicked` for what ended because
    /// somebody asked for it. Reasons that did not occur are left out.
    public Map<String, Long> counts() {
        var result = new TreeMap<String, Long>();
        for (int i = 0; i < counts.length; i++) {
            long count = (long) LONGS.getOpaque(counts, i);
            if (count > 0) {
                result.put(i == KICKED ? "kicked" : i == OTHER ? "other" : KvmExit.name(i), count);
            }
        }
        return result;
    }

    /// The last exits, oldest first, a line each. Exact only while the vCPU is paused.
    public List<String> recent() {
        var lines = new ArrayList<String>(RECENT);
        for (long i = Math.max(0, total - RECENT); i < total; i++) {
            int at = (int) (i % RECENT) * LONGS_PER_ENTRY;
            lines.add(line((int) recent[at], recent[at + 1], recent[at + 2]));
        }
        return lines;
    }

    void count(int reason) {
        int index = reason < 0 ? KICKED : reason < KvmExit.LIMIT ? reason : OTHER;
        LONGS.setOpaque(counts, index, counts[index] + 1);
    }

    /// Notes an exit in detail.
    ///
    /// @param address port or guest-physical address
    /// @param access its size in bytes, negative for a write
    void remember(int reason, long address, int access) {
        int at = (int) (total % RECENT) * LONGS_PER_ENTRY;
        recent[at] = reason;
        recent[at + 1] = address;
        recent[at + 2] = access;
        total++;
        if (access != 0) {
            accesses.count(reason == KvmExit.MMIO, access < 0, address);
        }
    }

    private static String line(int reason, long address, long access) {
        if (access == 0) {
            return KvmExit.name(reason);
        }
        return "%s %s 0x%x, %d bytes"
                .formatted(
                        KvmExit.name(reason),
                        access < 0 ? "write" : "read",
                        address,
                        Math.abs(access));
    }
}
