package org.kaval.devices.virtio;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.GuestDriver.Used;
import org.kaval.linux.ErrnoException;

/// Plays a guest with a vsock device: gives it buffers, sends it packets, and looks at those that
/// have come. It can lie as it likes.
final class VsockGuest implements AutoCloseable {
    static final long CID = 3;
    static final int HEADER = VsockHeader.SIZE;
    static final int TO_GUEST = 0;
    static final int FROM_GUEST = 1;
    static final int EVENTS = 2;

    /// Linux has 4 KiB, too.
    static final int DATA_OF_BUFFER = 4096;

    private static final long SENT = DeviceDriver.DATA;
    private static final long RECEIVED = DeviceDriver.DATA + 0x20_0000;
    private static final int STRIDE = 2 * DATA_OF_BUFFER;
    private static final int PLACES = 256;
    private static final int PLACE_OF_SENT = 0x4000;

    final DeviceDriver driver;
    private final Map<Integer, Long> buffers = new HashMap<>(); // by head
    private final Deque<Packet> packets = new ArrayDeque<>();
    private int given;
    private int sent;

    /// A packet.
    ///
    /// @param data each byte as a character of Latin-1
    record Packet(
            long fromCid,
            long toCid,
            int fromPort,
            int toPort,
            int type,
            int op,
            int flags,
            int allocated,
            int forwarded,
            String data) {
        /// From this guest to its host, with credit without end.
        static Packet of(int op, int guestPort, int hostPort, String data) {
            return new Packet(CID, 2, guestPort, hostPort, 1, op, 0, 1 << 30, 0, data);
        }

        static Packet of(int op, int guestPort, int hostPort) {
            return of(op, guestPort, hostPort, "");
        }

        static Packet of(int op, int guestPort, int hostPort, byte[] data) {
            return of(op, guestPort, hostPort, new String(data, ISO_8859_1));
        }

        Packet withCids(long from, long to) {
            return new Packet(
                    from, to, fromPort, toPort, type, op, flags, allocated, forwarded, data);
        }

        Packet withType(int other) {
            return new Packet(
                    fromCid, toCid, fromPort, toPort, other, op, flags, allocated, forwarded, data);
        }

        Packet withFlags(int other) {
            return new Packet(
                    fromCid, toCid, fromPort, toPort, type, op, other, allocated, forwarded, data);
        }

        Packet withCredit(int buffer, int read) {
            return new Packet(
                    fromCid, toCid, fromPort, toPort, type, op, flags, buffer, read, data);
        }

        byte[] bytes() {
            return data.getBytes(ISO_8859_1);
        }

        /// What most tests look at.
        String brief() {
            String what =
                    switch (op) {
                        case VsockHeader.OP_REQUEST -> "REQUEST";
                        case VsockHeader.OP_RESPONSE -> "RESPONSE";
                        case VsockHeader.OP_RST -> "RST";
                        case VsockHeader.OP_SHUTDOWN -> "SHUTDOWN " + flags;
                        case VsockHeader.OP_RW ->
                                data.length() > 8 ? "RW " + data.length() : "RW " + data;
                        case VsockHeader.OP_CREDIT_UPDATE -> "CREDIT_UPDATE " + forwarded;
                        case VsockHeader.OP_CREDIT_REQUEST -> "CREDIT_REQUEST";
                        default -> "op " + op;
                    };
            return "%d>%d %s".formatted(fromPort, toPort, what);
        }

        private byte[] toBytes(long length) {
            return ByteBuffer.allocate(HEADER + data.length())
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(fromCid)
                    .putLong(toCid)
                    .putInt(fromPort)
                    .putInt(toPort)
                    .putInt((int) length)
                    .putShort((short) type)
                    .putShort((short) op)
                    .putInt(flags)
                    .putInt(allocated)
                    .putInt(forwarded)
                    .put(bytes())
                    .array();
        }

        static Packet parse(byte[] bytes) {
            ByteBuffer in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
            long fromCid = in.getLong();
            long toCid = in.getLong();
            int fromPort = in.getInt();
            int toPort = in.getInt();
            int length = in.getInt();
            assertEquals(bytes.length - HEADER, length, "a packet's length");
            return new Packet(
                    fromCid,
                    toCid,
                    fromPort,
                    toPort,
                    in.getShort(),
                    in.getShort(),
                    in.getInt(),
                    in.getInt(),
                    in.getInt(),
                    new String(bytes, HEADER, length, ISO_8859_1));
        }
    }

    VsockGuest(VirtioDevice device) throws ErrnoException {
        driver = new DeviceDriver(device);
        begin();
    }

    /// Resets the device, and sets it up without any buffer.
    void begin() {
        driver.begin(DeviceDriver.DEFAULT);
        buffers.clear();
        packets.clear();
    }

    /// Gives the device that many buffers for packets.
    void give(int count) {
        for (int i = 0; i < count; i++) {
            long at = RECEIVED + (long) STRIDE * (given++ % PLACES);
            // the header is cut, which has no meaning
            int head =
                    driver.queues
                            .get(TO_GUEST)
                            .add(
                                    Buffer.toWrite(at, 7),
                                    Buffer.toWrite(at + 7, HEADER + DATA_OF_BUFFER - 7));
            buffers.put(head, at);
        }
        driver.control.ring(TO_GUEST);
    }

    /// How many of them have not come back.
    int waitingBuffers() {
        return buffers.size();
    }

    /// Sends a packet; it is not waited for.
    void send(Packet packet) {
        sendWithLength(packet, packet.data.length());
    }

    /// Sends one that says how much data it has.
    void sendWithLength(Packet packet, long length) {
        byte[] bytes = packet.toBytes(length);
        long at = SENT + (long) PLACE_OF_SENT * (sent++ % (PLACES / 2));
        driver.memory.write(at, bytes);
        driver.submit(
                FROM_GUEST,
                Buffer.toRead(at, HEADER),
                Buffer.toRead(at + HEADER, bytes.length - HEADER));
    }

    /// How many packets the device is through with since the last call.
    int through() {
        return driver.queues.get(FROM_GUEST).collect().size();
    }

    /// The packets that have come since the last call. Their buffers are not given again.
    List<Packet> received() {
        for (Used used : driver.queues.get(TO_GUEST).collect()) {
            Long at = buffers.remove(used.head());
            packets.add(Packet.parse(driver.read(at == null ? 0 : at, (int) used.written())));
        }
        List<Packet> all = new ArrayList<>(packets);
        packets.clear();
        return all;
    }

    List<String> receivedInBrief() {
        return received().stream().map(Packet::brief).toList();
    }

    /// Waits for the next packet, and gives its buffer's place to another.
    Packet await() {
        DeviceDriver.until(
                "a packet comes",
                () -> {
                    packets.addAll(received());
                    return !packets.isEmpty();
                });
        give(1);
        return packets.removeFirst();
    }

    @Override
    public void close() {
        driver.close();
    }
}
