package org.kaval.devices.virtio;

import java.util.Arrays;

/// Finds a connection by its two ports. Allocates nothing. One thread.
///
/// A hash table with open addressing. The guest chooses ports, and can make them collide: then a
/// search goes through all connections, of which there are few enough.
final class VsockPorts {
    private static final int NOTHING = -1;
    private static final long SPREAD = 0x9e37_79b9_7f4a_7c15L; // 2^64 divided by the golden ratio

    private final int mask;
    private final int shift;
    private final long[] keys;
    private final int[] values; // NOTHING where there is no key

    /// @param capacity how many it can have: a power of two
    VsockPorts(int capacity) {
        int places = 2 * capacity;
        mask = places - 1;
        shift = Long.SIZE - Integer.numberOfTrailingZeros(places);
        keys = new long[places];
        values = new int[places];
        clear();
    }

    void clear() {
        Arrays.fill(values, NOTHING);
    }

    /// What was put for these ports, -1 if nothing was.
    int find(int guestPort, int hostPort) {
        return values[place(key(guestPort, hostPort))];
    }

    /// Adds a number for ports that have none.
    ///
    /// @param value at least 0
    void put(int guestPort, int hostPort, int value) {
        long key = key(guestPort, hostPort);
        int place = place(key);
        keys[place] = key;
        values[place] = value;
    }

    void remove(int guestPort, int hostPort) {
        int hole = place(key(guestPort, hostPort));
        if (values[hole] == NOTHING) {
            return;
        }
        values[hole] = NOTHING;
        // what lies behind may be there only because this was full
        for (int at = (hole + 1) & mask; values[at] != NOTHING; at = (at + 1) & mask) {
            int home = home(keys[at]);
            if (((at - home) & mask) >= ((at - hole) & mask)) {
                keys[hole] = keys[at];
                values[hole] = values[at];
                values[at] = NOTHING;
                hole = at;
            }
        }
    }

    /// Where `key` is, or else where it would go.
    private int place(long key) {
        int at = home(key);
        while (values[at] != NOTHING && keys[at] != key) {
            at = (at + 1) & mask;
        }
        return at;
    }

    private int home(long key) {
        return (int) ((key * SPREAD) >>> shift);
    }

    private static long key(int guestPort, int hostPort) {
        return (long) guestPort << Integer.SIZE | Integer.toUnsignedLong(hostPort);
    }
}
