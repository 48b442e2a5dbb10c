package org.kaval.devices.virtio;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Frames of a guest's with address 10.0.0.2 to its host, 10.0.0.1, and what a driver says of them.
final class TapFrames {
    static final long MAC = 0x02_00_00_00_00_02L;
    static final String HOST = "10.0.0.1";

    /// Where the checksum of UDP and TCP over IPv4 begins.
    static final int CHECKSUM_START = 34;

    /// Where it is, from there.
    static final int UDP_CHECKSUM = 6;

    static final int TCP_CHECKSUM = 16;

    private static final int ETHERNET = 14;
    private static final int IPV4 = 20;
    private static final int IPV6 = 40;
    private static final int UDP = 8;
    private static final int TCP = 20;
    private static final int UDP_NUMBER = 17;
    private static final int TCP_NUMBER = 6;
    private static final int GUEST_ADDRESS = 0x0a00_0002;
    private static final int HOST_ADDRESS = 0x0a00_0001;

    private TapFrames() {}

    /// The `struct virtio_net_hdr_mrg_rxbuf` (Virtio 1.2 §5.1.6) before a frame.
    ///
    /// @param flags 1: a checksum is missing
    /// @param type how it is to be segmented; 0: not at all
    /// @param headerSize how many bytes each segment begins with
    /// @param segment how many bytes of data each segment has
    /// @param start from where on the checksum is made
    /// @param offset where it belongs, from there
    record Header(int flags, int type, int headerSize, int segment, int start, int offset) {
        static final int SIZE = 12;
        static final Header PLAIN = new Header(0, 0, 0, 0, 0, 0);

        byte[] bytes() {
            return ByteBuffer.allocate(SIZE)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .put((byte) flags)
                    .put((byte) type)
                    .putShort((short) headerSize)
                    .putShort((short) segment)
                    .putShort((short) start)
                    .putShort((short) offset)
                    .array();
        }
    }

    /// UDP over IPv4, whose checksum is that of the pseudo-header: what is left to others to add.
    static byte[] udp(int port, byte[] data) {
        int size = UDP + data.length;
        ByteBuffer frame = ipv4(UDP_NUMBER, size);
        frame.putShort((short) port)
                .putShort((short) port)
                .putShort((short) size)
                .putShort((short) pseudoHeader(UDP_NUMBER, size))
                .put(data);
        return bytes(frame);
    }

    /// TCP over IPv4 or IPv6, of no connection.
    static byte[] tcp(int version, int data) {
        int size = TCP + data;
        ByteBuffer frame = version == 4 ? ipv4(TCP_NUMBER, size) : ipv6(TCP_NUMBER, size);
        frame.putShort((short) 9)
                .putShort((short) 9)
                .putInt(1)
                .putInt(1)
                .putShort((short) 0x5010) // 20 bytes of header; ACK
                .putShort((short) 0xffff)
                .putShort((short) pseudoHeader(TCP_NUMBER, size));
        return bytes(frame);
    }

    private static byte[] bytes(ByteBuffer frame) {
        byte[] bytes = new byte[frame.capacity()];
        frame.get(0, bytes);
        return bytes;
    }

    private static ByteBuffer ethernet(int type, int size) {
        return ByteBuffer.allocate(ETHERNET + size)
                .putInt(-1) // to all
                .putShort((short) -1)
                .putShort((short) (MAC >>> 32))
                .putInt((int) MAC)
                .putShort((short) type);
    }

    private static ByteBuffer ipv4(int protocol, int size) {
        ByteBuffer frame = ethernet(0x0800, IPV4 + size);
        frame.putShort((short) 0x4500)
                .putShort((short) (IPV4 + size))
                .putInt(0x4000) // not to be fragmented
                .put((byte) 64)
                .put((byte) protocol)
                .putShort((short) 0)
                .putInt(GUEST_ADDRESS)
                .putInt(HOST_ADDRESS);
        int sum = 0;
        for (int i = 0; i < IPV4; i += Short.BYTES) {
            sum += Short.toUnsignedInt(frame.getShort(ETHERNET + i));
        }
        return frame.putShort(ETHERNET + 10, (short) ~fold(sum));
    }

    private static ByteBuffer ipv6(int protocol, int size) {
        return ethernet(0x86dd, IPV6 + size)
                .putInt(0x6000_0000)
                .putShort((short) size)
                .put((byte) protocol)
                .put((byte) 64)
                .putLong(0xfe80_0000_0000_0000L)
                .putLong(2)
                .putLong(0xfe80_0000_0000_0000L)
                .putLong(1);
    }

    /// Makes the checksum of UDP over IPv4 whole.
    static byte[] complete(byte[] udp) {
        ByteBuffer frame = ByteBuffer.wrap(udp);
        int sum = 0;
        for (int i = CHECKSUM_START; i < udp.length; i += Short.BYTES) {
            int low = i + 1 < udp.length ? Byte.toUnsignedInt(udp[i + 1]) : 0;
            sum += (Byte.toUnsignedInt(udp[i]) << Byte.SIZE) + low;
        }
        frame.putShort(CHECKSUM_START + UDP_CHECKSUM, (short) ~fold(sum));
        return udp;
    }

    private static int pseudoHeader(int protocol, int size) {
        int addresses = 0;
        for (int address : new int[] {GUEST_ADDRESS, HOST_ADDRESS}) {
            addresses += (address >>> Short.SIZE) + (address & 0xffff);
        }
        return fold(addresses + protocol + size);
    }

    private static int fold(int sum) {
        int once = (sum & 0xffff) + (sum >>> Short.SIZE);
        return (once & 0xffff) + (once >>> Short.SIZE);
    }
}
