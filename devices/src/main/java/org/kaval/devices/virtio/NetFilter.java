package org.kaval.devices.virtio;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.kaval.devices.StateFields;

/// Which frames a driver wants to have (§5.1.6.5.1 to §5.1.6.5.3): by their destination, and by
/// their VLAN.
///
/// Set by one thread, asked by others: what they see is at most a little old.
final class NetFilter {
    /// How many addresses a driver can name before all pass.
    static final int MAX_ADDRESSES = 64;

    /// How many bytes at the beginning of a frame it looks at.
    static final int LOOKS_AT = 16;

    static final int MAC = 6;
    private static final int VLANS = 4096;
    private static final int ETHERTYPE = 12;
    private static final int VLAN_TAG = 0x8100;
    private static final long BROADCAST = 0xffff_ffff_ffffL;
    private static final long MULTICAST = 1L << 40; // of the address as a number

    /// How frames are chosen, one bit each, by the number of the command (§5.1.6.5.1).
    private volatile int modes;

    private volatile long own;
    private volatile long[] addresses = {};
    private volatile boolean everyUnicast; // more were named than there is room for
    private volatile boolean everyMulticast;
    private volatile long[] vlans = {}; // bits; empty if the driver does not choose

    static final int PROMISC = 0;
    static final int ALLMULTI = 1;
    static final int ALLUNI = 2;
    static final int NOMULTI = 3;
    static final int NOUNI = 4;
    static final int NOBCAST = 5;

    /// Everything passes, as long as a driver has not said otherwise.
    void reset(long address, boolean choosesVlans) {
        modes = 1 << PROMISC;
        own = address;
        addresses = new long[0];
        everyUnicast = false;
        everyMulticast = false;
        vlans = choosesVlans ? new long[VLANS / Long.SIZE] : new long[0];
    }

    void setMode(int mode, boolean on) {
        modes = on ? modes | (1 << mode) : modes & ~(1 << mode);
    }

    void setAddress(long address) {
        own = address;
    }

    long address() {
        return own;
    }

    /// @param all unicast addresses and multicast ones
    void setAddresses(long[] all, boolean moreUnicast, boolean moreMulticast) {
        addresses = all;
        everyUnicast = moreUnicast;
        everyMulticast = moreMulticast;
    }

    /// @return whether there is such a VLAN
    boolean setVlan(int id, boolean on) {
        if (id >= VLANS) {
            return false;
        }
        long[] changed = vlans.clone();
        if (changed.length > 0) {
            long bit = 1L << (id % Long.SIZE);
            int at = id / Long.SIZE;
            changed[at] = on ? changed[at] | bit : changed[at] & ~bit;
            vlans = changed;
        }
        return true;
    }

    /// Whether everything passes: nobody needs to ask then.
    boolean passesAll() {
        return (modes & (1 << PROMISC)) != 0; // tagged ones as well
    }

    /// Whether the frame that begins with `head` passes; allocates nothing.
    boolean passes(MemorySegment head) {
        return passesAll() || (passesVlan(head) && passesAddress(address(head)));
    }

    private boolean passesVlan(MemorySegment head) {
        long[] chosen = vlans;
        if (chosen.length == 0 || number(head, ETHERTYPE, 2) != VLAN_TAG) {
            return true;
        }
        int id = (int) number(head, ETHERTYPE + 2, 2) & (VLANS - 1);
        return ((chosen[id / Long.SIZE] >>> (id % Long.SIZE)) & 1) != 0;
    }

    private boolean passesAddress(long to) {
        int how = modes;
        if (to == BROADCAST) {
            return (how & (1 << NOBCAST)) == 0;
        }
        if ((to & MULTICAST) != 0) {
            return (how & (1 << NOMULTI)) == 0
                    && ((how & (1 << ALLMULTI)) != 0 || everyMulticast || isNamed(to));
        }
        return (how & (1 << NOUNI)) == 0
                && ((how & (1 << ALLUNI)) != 0 || everyUnicast || to == own || isNamed(to));
    }

    private boolean isNamed(long address) {
        for (long each : addresses) {
            if (each == address) {
                return true;
            }
        }
        return false;
    }

    private static long address(MemorySegment head) {
        return number(head, 0, MAC);
    }

    /// A number whose highest byte comes first.
    private static long number(MemorySegment head, int at, int size) {
        long value = 0;
        for (int i = 0; i < size; i++) {
            value = (value << Byte.SIZE) | Byte.toUnsignedLong(head.get(JAVA_BYTE, at + i));
        }
        return value;
    }

    void persist(StateFields state) {
        modes = state.number("modes", modes, 0, (1 << (NOBCAST + 1)) - 1);
        own = state.number("own", own, 0, BROADCAST);
        everyUnicast = state.flag("everyUnicast", everyUnicast);
        everyMulticast = state.flag("everyMulticast", everyMulticast);
        int count = state.number("addresses", addresses.length, 0, MAX_ADDRESSES);
        long[] all = Arrays.copyOf(addresses, count);
        for (int i = 0; i < count; i++) {
            all[i] = state.number("address%d".formatted(i), all[i], 0, BROADCAST);
        }
        addresses = all;
        long[] chosen = vlans.clone();
        for (int i = 0; i < chosen.length; i++) {
            chosen[i] = state.number("vlans%d".formatted(i), chosen[i]);
        }
        vlans = chosen;
    }
}
