package org.kaval.devices.virtio;

import org.kaval.memory.GuestFault;

/// The control queue (§5.1.6.5): a class, a command and its data are read, and one byte is written
/// that says whether it was done.
///
/// A command that is cut short, or that is not known, is refused; one without room for the answer
/// breaks the rules. Confined to its thread.
final class NetControl implements QueueThreads.Handler {
    private static final int OK = 0;
    private static final int ERR = 1;

    private static final int RX = 0;
    private static final int MAC = 1;
    private static final int MAC_TABLE_SET = 0;
    private static final int MAC_ADDR_SET = 1;
    private static final int VLAN = 2;
    private static final int VLAN_ADD = 0;
    private static final int VLAN_DEL = 1;
    private static final int ANNOUNCE = 3;
    private static final int ANNOUNCE_ACK = 0;
    private static final int MQ = 4;
    private static final int VQ_PAIRS_SET = 0;
    private static final int GUEST_OFFLOADS = 5;
    private static final int GUEST_OFFLOADS_SET = 0;

    private static final int DATA = 2; // behind class and command
    private static final int MAC_SIZE = NetFilter.MAC;

    private final VirtioNet device;
    private final long features;
    private final byte[] mac = new byte[MAC_SIZE];

    NetControl(VirtioNet device, long features) {
        this.device = device;
        this.features = features;
    }

    @Override
    public long handle(DescriptorChain request) {
        if (request.writable().size() < 1 || request.readable().size() < DATA) {
            throw new GuestFault(
                    "a command of %d bytes to read and %d to write"
                            .formatted(request.readable().size(), request.writable().size()));
        }
        request.writable().writeByte(0, isDone(request.readable()) ? OK : ERR);
        return 1;
    }

    private boolean isDone(GuestBuffers command) {
        int kind = command.readByte(0);
        int what = command.readByte(1);
        return switch (kind) {
            case RX ->
                    isNegotiated(
                                    what > NetFilter.ALLMULTI
                                            ? VirtioNet.F_CTRL_RX_EXTRA
                                            : VirtioNet.F_CTRL_RX)
                            && setMode(command, what);
            case MAC -> setAddress(command, what);
            case VLAN -> isNegotiated(VirtioNet.F_CTRL_VLAN) && setVlan(command, what);
            case ANNOUNCE ->
                    isNegotiated(VirtioNet.F_GUEST_ANNOUNCE)
                            && what == ANNOUNCE_ACK
                            && device.announced();
            case MQ ->
                    isNegotiated(VirtioNet.F_MQ)
                            && what == VQ_PAIRS_SET
                            && hasData(command, Short.BYTES)
                            && device.setPairs(readLe16(command, DATA));
            case GUEST_OFFLOADS ->
                    isNegotiated(VirtioNet.F_CTRL_GUEST_OFFLOADS)
                            && what == GUEST_OFFLOADS_SET
                            && hasData(command, Long.BYTES)
                            && device.setOffloads(command.readLe64(DATA));
            default -> false;
        };
    }

    private boolean isNegotiated(long feature) {
        return (features & feature) != 0;
    }

    private static boolean hasData(GuestBuffers command, long size) {
        return command.size() >= DATA + size;
    }

    private static int readLe16(GuestBuffers command, long at) {
        return command.readByte(at) | (command.readByte(at + 1) << Byte.SIZE);
    }

    private boolean setMode(GuestBuffers command, int what) {
        if (what > NetFilter.NOBCAST || !hasData(command, 1)) {
            return false;
        }
        device.filter().setMode(what, command.readByte(DATA) != 0);
        return true;
    }

    private boolean setVlan(GuestBuffers command, int what) {
        if ((what != VLAN_ADD && what != VLAN_DEL) || !hasData(command, Short.BYTES)) {
            return false;
        }
        return device.filter().setVlan(readLe16(command, DATA), what == VLAN_ADD);
    }

    private boolean setAddress(GuestBuffers command, int what) {
        return switch (what) {
            case MAC_ADDR_SET -> {
                if (!isNegotiated(VirtioNet.F_CTRL_MAC_ADDR) || !hasData(command, MAC_SIZE)) {
                    yield false;
                }
                device.setMac(readMac(command, DATA));
                yield true;
            }
            case MAC_TABLE_SET -> isNegotiated(VirtioNet.F_CTRL_RX) && setTable(command);
            default -> false;
        };
    }

    /// Unicast addresses and multicast ones, each behind their number.
    private boolean setTable(GuestBuffers command) {
        long unicast = DATA;
        long unicastCount = countAt(command, unicast);
        if (unicastCount < 0) {
            return false;
        }
        long multicast = unicast + Integer.BYTES + unicastCount * MAC_SIZE;
        long multicastCount = countAt(command, multicast);
        if (multicastCount < 0) {
            return false;
        }
        int most = NetFilter.MAX_ADDRESSES;
        int kept = (int) (unicastCount > most ? 0 : unicastCount);
        int keptToo = (int) (multicastCount > most - kept ? 0 : multicastCount);
        long[] all = new long[kept + keptToo];
        for (int i = 0; i < kept; i++) {
            all[i] = readMac(command, unicast + Integer.BYTES + (long) i * MAC_SIZE);
        }
        for (int i = 0; i < keptToo; i++) {
            all[kept + i] = readMac(command, multicast + Integer.BYTES + (long) i * MAC_SIZE);
        }
        device.filter().setAddresses(all, kept < unicastCount, keptToo < multicastCount);
        return true;
    }

    /// How many addresses the driver says there are; -1 if there are fewer.
    private static long countAt(GuestBuffers command, long at) {
        if (command.size() < at + Integer.BYTES) {
            return -1;
        }
        long count = Integer.toUnsignedLong(command.readLe32(at));
        return command.size() - at - Integer.BYTES < count * MAC_SIZE ? -1 : count;
    }

    private long readMac(GuestBuffers command, long at) {
        command.read(at, mac);
        long value = 0;
        for (byte each : mac) {
            value = (value << Byte.SIZE) | Byte.toUnsignedLong(each);
        }
        return value;
    }
}
