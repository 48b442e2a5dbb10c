package org.kaval.devices.virtio;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.devices.net.NetBackend;
import org.kaval.devices.net.NetQueue;
import org.kaval.devices.net.SocketBackend;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.NetThread.Next;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.IoVector;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestMemory;

/// Drivers of a network device that a fuzzer makes up: each command is answered and each frame is
/// whole, whatever they do.
///
/// A build replays the seeds and what has been found. To look for more: `./kaval fuzz anyFrames`
class NetFuzzTest {
    private static final int QUEUE = VirtioNet.QUEUE_SIZE;
    private static final long RX = 0x1_0000;
    private static final long TX = 0x2_0000;
    private static final long TO_SEND = 0x10_0000;
    private static final long ROOM = 0x20_0000;
    private static final int ROOM_OF_ONE = 0x2000;
    private static final long RAM = ROOM + QUEUE * (long) ROOM_OF_ONE;
    private static final int HEADER = NetQueue.HEADER;
    private static final int USUAL = HEADER + 1518; // a frame
    private static final int SENT_AT_MOST = 0x2_0000;
    private static final int ACTION = 4; // bytes of input for one
    private static final int MOST_ACTIONS = 300;
    private static final int MAX_COMMAND = 4096;
    private static final long FEATURES =
            VirtioControl.F_VERSION_1
                    | VirtQueue.F_EVENT_IDX
                    | VirtioNet.F_CTRL_RX
                    | VirtioNet.F_CTRL_RX_EXTRA
                    | VirtioNet.F_CTRL_VLAN
                    | VirtioNet.F_CTRL_MAC_ADDR;

    @TempDir private static Path directory;
    private static GuestMemory memory;
    private static VirtioNet net;
    private static byte[] content;

    @BeforeAll
    static void make() throws IOException {
        memory = GuestDriver.memory(RAM);
        net =
                new VirtioNet(
                        "net", SocketBackend.open(directory.resolve("n")), VirtioNet.Options.of(2));
        content = new byte[SENT_AT_MOST];
        new Random(1).nextBytes(content);
        memory.write(TO_SEND, content);
    }

    @AfterAll
    static void free() {
        net.close();
        memory.close();
    }

    static Stream<byte[]> commands() {
        return Stream.of(
                new byte[2],
                new byte[] {0, 1, 1},
                new byte[] {1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0},
                new byte[] {1, 0, -1, -1, -1, -1, 2, 0, 0, 0, 0, 9, -1, -1, -1, -1},
                new byte[] {1, 1, 2, 0, 0, 0, 0, 9},
                new byte[] {2, 0, 5, 1},
                new byte[] {3, 0},
                new byte[] {4, 0, 1, 0},
                new byte[] {5, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    }

    @MethodSource("commands")
    @FuzzTest(maxDuration = "2m")
    void anyNetCommand(byte[] command) {
        int length = Math.min(command.length, MAX_COMMAND);
        memory.write(ROOM, Arrays.copyOf(command, length));
        memory.writeByte(RX, 0x55);
        var control = new NetControl(net, FEATURES);
        var chain = new DescriptorChain(memory);
        chain.begin(0);
        if (length / 2 > 0) {
            chain.readable().add(ROOM, length / 2);
        }
        if (length > 0) {
            chain.readable().add(ROOM + length / 2, length - length / 2);
        }
        chain.writable().add(RX, 1);
        try {
            assertEquals(1, control.handle(chain));
            assertTrue(memory.readByte(RX) <= 1, "done or refused");
        } catch (GuestFault expected) {
            assertTrue(length < 2, expected.getMessage());
        }
    }

    /// The other end, with frames that a fuzzer makes up, and what has become of them.
    private static final class Peer extends QuietQueue {
        final Deque<byte[]> waiting = new ArrayDeque<>();
        final Deque<byte[]> received = new ArrayDeque<>(); // by the device
        final Deque<byte[]> sent = new ArrayDeque<>();
        final boolean guesses;
        int lost;
        private final MemorySegment copy = Arena.ofAuto().allocate(HEADER + NetBackend.MAX_FRAME);
        private final MemorySegment rest = Arena.ofAuto().allocate(HEADER + NetBackend.MAX_FRAME);

        /// @param guesses whether it does not know how large the next frame is
        Peer(boolean guesses) {
            this.guesses = guesses;
        }

        @Override
        public long peek() {
            byte[] next = waiting.peek();
            if (guesses) {
                return USUAL;
            }
            return next == null ? WOULD_WAIT : next.length;
        }

        @Override
        public long receive(IoVector into) {
            byte[] frame = waiting.poll();
            if (frame == null) {
                return WOULD_WAIT;
            }
            int fits = (int) Math.min(into.byteSize(), frame.length);
            if (fits < frame.length && !guesses) {
                lost++;
                return LOST;
            }
            MemorySegment.copy(frame, 0, copy, JAVA_BYTE, 0, frame.length);
            into.copyFrom(0, copy, 0, fits);
            MemorySegment.copy(copy, fits, rest, 0, frame.length - fits);
            received.add(frame);
            return frame.length;
        }

        @Override
        public MemorySegment rest() {
            return rest;
        }

        @Override
        public long send(IoVector frame) {
            byte[] bytes = new byte[(int) frame.byteSize()];
            frame.copyTo(0, copy, 0, bytes.length);
            MemorySegment.copy(copy, JAVA_BYTE, 0, bytes, 0, bytes.length);
            sent.add(bytes);
            return bytes.length;
        }

        @Override
        public Fd input() {
            throw new AssertionError("nobody waits here");
        }

        @Override
        public Fd output() {
            throw new AssertionError("nobody waits here");
        }
    }

    private static byte[] script(int... numbers) {
        ByteBuffer all = ByteBuffer.allocate(ACTION * numbers.length / 3);
        for (int i = 0; i < numbers.length; i += 3) {
            all.put((byte) numbers[i]).put((byte) numbers[i + 1]).putShort((short) numbers[i + 2]);
        }
        return all.array();
    }

    /// An action has three numbers: what it is, a byte, and a number of bytes.
    static Stream<byte[]> scripts() {
        // @formatter:off
        return Stream.of(
                new byte[0],
                script(0, 0, 2048, 1, 0, 60, 2, 0, 72, 1, 0, 13),
                script(0, 2, 0x2000, 0, 0, 64, 1, 0, 5000, 0, 0, 700, 0, 1, 700, 1, 0, 1500),
                script(1, 0, 60, 1, 0, 61, 0, 0, 2048, 3, 0, 0, 1, 1, 0xffff),
                script(2, 2, 100, 2, 1, 0xffff, 2, 0, 11, 2, 0, 100),
                script(0, 4, 2048, 1, 0, 60));
        // @formatter:on
    }

    /// Buffers and frames of the driver's and the other end's, with and without merged buffers and
    /// a header of the host's: each frame arrives whole and once, in its turn, or is counted lost.
    @MethodSource("scripts")
    @FuzzTest(maxDuration = "5m")
    void anyFrames(byte[] script) throws ErrnoException {
        for (int how = 0; how < 4; how++) {
            new Exchange((how & 1) != 0, (how & 2) != 0).play(ByteBuffer.wrap(script));
        }
    }

    private static final class Exchange {
        private final boolean merges;
        private final int hostHeader;
        private final GuestDriver receiving = new GuestDriver(memory, RX, QUEUE);
        private final GuestDriver sending = new GuestDriver(memory, TX, QUEUE);
        private final VirtQueue in = new VirtQueue(memory, 0, QUEUE, () -> {}, null);
        private final VirtQueue out = new VirtQueue(memory, 1, QUEUE, () -> {}, null);
        private final Peer peer;
        private final NetReceive receive;
        private final NetTransmit transmit;
        private final long lostBefore;
        private final int[] sizes = new int[QUEUE]; // of buffers, by their head
        private final Deque<byte[]> expected = new ArrayDeque<>(); // to be sent
        private boolean isShort; // a frame shorter than its header
        private boolean hasBadRoom;
        private int lost; // of those that are sent
        private int room; // buffers that the driver has made
        private int sends; // descriptors

        Exchange(boolean merges, boolean hasHeader) {
            this.merges = merges;
            this.hostHeader = hasHeader ? HEADER : 0;
            this.peer = new Peer(hasHeader);
            net.filter().reset(2, false);
            start(receiving, in);
            start(sending, out);
            receive = new NetReceive(net, peer, in, hasHeader, merges);
            transmit = new NetTransmit(net, peer, out, hasHeader);
            lostBefore = net.sent().dropped() + net.received().dropped();
        }

        private static void start(GuestDriver driver, VirtQueue queue) {
            driver.restart();
            driver.enable(queue);
            queue.start(VirtioControl.F_VERSION_1 | VirtQueue.F_EVENT_IDX);
        }

        void play(ByteBuffer script) throws ErrnoException {
            for (int i = 0; i < MOST_ACTIONS && script.remaining() >= ACTION; i++) {
                int kind = script.get() & 3;
                int detail = script.get();
                int size = script.getShort() & 0xffff;
                switch (kind) {
                    case 0 -> giveRoom(size % ROOM_OF_ONE, detail);
                    case 1 -> arrive(size + (detail & 1) * 18); // up to the largest
                    case 2 -> send(size, detail);
                    default -> receive.putBack();
                }
                try {
                    settle();
                } catch (GuestFault fault) {
                    assertTrue(isShort || hasBadRoom, fault.getMessage());
                    return; // and no more until a reset
                }
                check();
            }
            assertEquals(
                    lostBefore + lost + peer.lost,
                    net.sent().dropped() + net.received().dropped(),
                    "frames that are lost");
        }

        private void giveRoom(int size, int detail) {
            int pieces = 1 + (detail & 3);
            if (room + pieces > QUEUE || size < pieces) {
                return;
            }
            var buffers = new Buffer[pieces];
            int from = 0;
            for (int i = 0; i < pieces; i++) {
                int length = i + 1 < pieces ? size / pieces : size - from;
                long address = ROOM + (long) room * ROOM_OF_ONE + from;
                boolean readable = (detail & 4) != 0 && i == 0;
                buffers[i] = new Buffer(address, length, !readable);
                from += length;
            }
            hasBadRoom |= size < HEADER || (detail & 4) != 0;
            sizes[receiving.add(buffers)] = size;
            room += pieces;
        }

        private void arrive(int size) {
            byte[] frame = Arrays.copyOfRange(content, size, 2 * size + hostHeader);
            if (frame.length > 0) {
                peer.waiting.add(frame);
            }
        }

        private void send(int size, int detail) {
            int pieces = 1 + (detail & 3);
            if (size == 0 || sends + pieces > QUEUE) {
                return;
            }
            var buffers = new Buffer[pieces];
            for (int i = 0; i < pieces; i++) {
                buffers[i] = Buffer.toRead(TO_SEND + i, i == 0 ? size : 1 + size % 100);
            }
            sending.add(buffers);
            sends += pieces;
            byte[] frame = request(buffers);
            int length = frame.length - HEADER;
            isShort |= length < 0;
            if (length < NetTransmit.ETHERNET_HEADER || length > NetBackend.MAX_FRAME) {
                lost++;
            } else {
                expected.add(Arrays.copyOfRange(frame, HEADER - hostHeader, frame.length));
            }
        }

        private static byte[] request(Buffer[] buffers) {
            var all = new ByteArrayOutputStream();
            for (Buffer buffer : buffers) {
                byte[] piece = new byte[(int) buffer.length()];
                memory.read(buffer.address(), piece);
                all.writeBytes(piece);
            }
            return all.toByteArray();
        }

        private void settle() throws ErrnoException {
            int steps = 0;
            while (transmit.step() == Next.GO_ON) {
                assertTrue(++steps <= QUEUE, "sending does not come to an end");
            }
            while (receiveOne() == Next.GO_ON) {
                assertTrue(++steps <= 2 * MOST_ACTIONS, "receiving does not come to an end");
            }
        }

        private Next receiveOne() throws ErrnoException {
            long before = net.received().dropped();
            int taken = peer.received.size();
            Next next = receive.step();
            if (net.received().dropped() > before
                    && peer.received.size() > taken
                    && peer.received.getLast().length >= hostHeader + NetTransmit.ETHERNET_HEADER) {
                peer.received.removeLast(); // there was no room for all of it
                lost++;
            }
            return next;
        }

        private void check() {
            checkReceived();
            checkSent();
        }

        private void checkReceived() {
            List<GuestDriver.Used> used = receiving.collect();
            int at = 0;
            while (!peer.received.isEmpty()) {
                byte[] frame = peer.received.poll();
                if (frame.length - hostHeader < NetTransmit.ETHERNET_HEADER) {
                    lost++;
                    continue;
                }
                byte[] whole = new byte[frame.length + HEADER - hostHeader];
                int count = number(used.get(at).head(), 10);
                assertTrue(count == 1 || merges, count + " buffers");
                int from = 0;
                for (int i = 0; i < count; i++, at++) {
                    int here = (int) used.get(at).written();
                    assertTrue(here <= sizes[used.get(at).head()], "more than there is room");
                    memory.read(address(used.get(at).head()), whole, from, here);
                    from += here;
                }
                assertEquals(whole.length, from);
                byte[] header = Arrays.copyOf(whole, HEADER);
                byte[] expected = new byte[HEADER];
                System.arraycopy(frame, 0, expected, 0, hostHeader);
                expected[10] = (byte) count;
                expected[11] = 0;
                assertArrayEquals(expected, header);
                assertArrayEquals(
                        Arrays.copyOfRange(frame, hostHeader, frame.length),
                        Arrays.copyOfRange(whole, HEADER, whole.length));
            }
            assertEquals(at, used.size());
        }

        private int number(int head, int at) {
            // buffers are in a row, whatever their pieces
            return memory.readByte(address(head) + at)
                    | memory.readByte(address(head) + at + 1) << 8;
        }

        private static long address(int head) {
            return memory.readLe64(RX + 16L * head);
        }

        private void checkSent() {
            for (byte[] frame = peer.sent.poll(); frame != null; frame = peer.sent.poll()) {
                int size = frame.length - hostHeader;
                assertTrue(size >= NetTransmit.ETHERNET_HEADER && size <= NetBackend.MAX_FRAME);
                assertArrayEquals(expected.poll(), frame);
            }
            assertEquals(0, expected.size(), "frames that are not sent");
        }
    }
}
