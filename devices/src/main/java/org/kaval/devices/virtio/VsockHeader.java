package org.kaval.devices.virtio;

/// The header of a packet (§5.10.6).
///
/// ```
/// { le64 src_cid; le64 dst_cid; le32 src_port; le32 dst_port; le32 len;
///   le16 type; le16 op; le32 flags; le32 buf_alloc; le32 fwd_cnt }
/// ```
///
/// Used again and again; allocates nothing. One thread.
final class VsockHeader {
    static final int SIZE = 44;

    /// Who the host is.
    static final long HOST_CID = 2;

    static final int TYPE_STREAM = 1;

    static final int OP_REQUEST = 1;
    static final int OP_RESPONSE = 2;
    static final int OP_RST = 3;
    static final int OP_SHUTDOWN = 4;
    static final int OP_RW = 5;
    static final int OP_CREDIT_UPDATE = 6;
    static final int OP_CREDIT_REQUEST = 7;

    /// Flags of {@link #OP_SHUTDOWN}: what its sender does no more.
    static final int SHUTDOWN_RECEIVE = 1;

    static final int SHUTDOWN_SEND = 1 << 1;
    static final int SHUTDOWN_BOTH = SHUTDOWN_RECEIVE | SHUTDOWN_SEND;

    private static final int SRC_CID = 0;
    private static final int DST_CID = 8;
    private static final int SRC_PORT = 16;
    private static final int DST_PORT = 20;
    private static final int LEN = 24;
    private static final int TYPE = 28;
    private static final int OP = 30;
    private static final int FLAGS = 32;
    private static final int BUF_ALLOC = 36;
    private static final int FWD_CNT = 40;

    private final byte[] bytes = new byte[SIZE];

    /// Takes the header of a packet, all of it at once.
    ///
    /// @throws org.kaval.memory.GuestFault if the packet is too short
    void read(GuestBuffers from) {
        from.read(0, bytes);
    }

    /// Puts it in front of a packet.
    void write(GuestBuffers to) {
        to.write(0, bytes);
    }

    long sourceCid() {
        return get(SRC_CID, Long.BYTES);
    }

    long destinationCid() {
        return get(DST_CID, Long.BYTES);
    }

    int sourcePort() {
        return (int) get(SRC_PORT, Integer.BYTES);
    }

    int destinationPort() {
        return (int) get(DST_PORT, Integer.BYTES);
    }

    /// How many bytes of data there are, unsigned.
    long length() {
        return get(LEN, Integer.BYTES);
    }

    int type() {
        return (int) get(TYPE, Short.BYTES);
    }

    int op() {
        return (int) get(OP, Short.BYTES);
    }

    int flags() {
        return (int) get(FLAGS, Integer.BYTES);
    }

    /// How much its sender takes in all that has not been read there.
    int allocated() {
        return (int) get(BUF_ALLOC, Integer.BYTES);
    }

    /// How many bytes have been read there, since the connection was made, modulo 2^32.
    int forwarded() {
        return (int) get(FWD_CNT, Integer.BYTES);
    }

    /// Begins a packet without data, of a stream.
    VsockHeader address(long fromCid, int fromPort, long toCid, int toPort) {
        set(SRC_CID, Long.BYTES, fromCid);
        set(DST_CID, Long.BYTES, toCid);
        set(SRC_PORT, Integer.BYTES, fromPort);
        set(DST_PORT, Integer.BYTES, toPort);
        credit(0, 0);
        length(0);
        type(TYPE_STREAM);
        return operation(0, 0);
    }

    VsockHeader type(int value) {
        return set(TYPE, Short.BYTES, value);
    }

    VsockHeader operation(int op, int flags) {
        set(OP, Short.BYTES, op);
        return set(FLAGS, Integer.BYTES, flags);
    }

    VsockHeader length(long value) {
        return set(LEN, Integer.BYTES, value);
    }

    VsockHeader credit(int allocated, int forwarded) {
        set(BUF_ALLOC, Integer.BYTES, allocated);
        return set(FWD_CNT, Integer.BYTES, forwarded);
    }

    private long get(int offset, int size) {
        long value = 0;
        for (int i = size - 1; i >= 0; i--) {
            value = value << Byte.SIZE | (bytes[offset + i] & 0xff);
        }
        return value;
    }

    private VsockHeader set(int offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            bytes[offset + i] = (byte) (value >>> (i * Byte.SIZE));
        }
        return this;
    }
}
