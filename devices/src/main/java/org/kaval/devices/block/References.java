package org.kaval.devices.block;

import java.util.Map;
import java.util.TreeMap;

/// How often clusters of a file are referred to, by what has been counted. It takes memory for
/// those only that are.
final class References {
    private static final int CHUNK_BITS = 12;
    private static final int CHUNK = 1 << CHUNK_BITS;

    private final TreeMap<Long, int[]> chunks = new TreeMap<>();

    void add(long cluster) {
        int[] chunk = chunks.computeIfAbsent(cluster >>> CHUNK_BITS, _ -> new int[CHUNK]);
        chunk[(int) (cluster & (CHUNK - 1))]++;
    }

    /// Takes back what {@link #add} has counted once.
    void remove(long cluster) {
        int[] chunk = chunks.get(cluster >>> CHUNK_BITS);
        if (chunk == null) {
            throw new IllegalStateException("cluster %d was not counted".formatted(cluster));
        }
        chunk[(int) (cluster & (CHUNK - 1))]--;
    }

    int count(long cluster) {
        int[] chunk = chunks.get(cluster >>> CHUNK_BITS);
        return chunk == null ? 0 : chunk[(int) (cluster & (CHUNK - 1))];
    }

    /// The first cluster behind all that are referred to.
    long end() {
        Map.Entry<Long, int[]> last = chunks.lastEntry();
        if (last == null) {
            return 0;
        }
        int i = CHUNK;
        while (i > 0 && last.getValue()[i - 1] == 0) {
            i--;
        }
        return (last.getKey() << CHUNK_BITS) + i;
    }
}
