package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.net.NetQueue;
import org.kaval.devices.net.SocketBackend;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.IoVector;
import org.kaval.memory.GuestMemory;

/// Frames that are larger than a back end had expected, as a tap device's can be.
class NetReceiveTest {
    private static final int QUEUE = VirtioNet.QUEUE_SIZE;
    private static final long ROOM = 0x10000;
    private static final int EXPECTED = 1000;
    private static final int BUFFER = 1024;

    @TempDir private Path directory;
    private GuestMemory memory;
    private SocketBackend backend;
    private VirtQueue queue;
    private GuestDriver driver;
    private VirtioNet net;
    private final Host host = new Host();

    private static final class Host extends QuietQueue {
        final Deque<byte[]> waiting = new ArrayDeque<>();
        private final MemorySegment rest = Arena.ofAuto().allocate(0x10000);

        @Override
        public long peek() {
            return waiting.isEmpty() ? WOULD_WAIT : EXPECTED;
        }

        @Override
        public long receive(IoVector into) {
            byte[] frame = waiting.remove();
            long fits = Math.min(into.byteSize(), frame.length);
            into.copyFrom(0, ofBytes(frame), 0, fits);
            rest.copyFrom(ofBytes(frame).asSlice(fits));
            return frame.length;
        }

        private static MemorySegment ofBytes(byte[] frame) {
            return MemorySegment.ofArray(frame);
        }

        @Override
        public MemorySegment rest() {
            return rest;
        }
    }

    @BeforeEach
    void make() throws IOException {
        memory = GuestDriver.memory(ROOM + 0x10000);
        backend = SocketBackend.open(directory.resolve("net"));
        queue = new VirtQueue(memory, 0, QUEUE, () -> {}, null);
        driver = new GuestDriver(memory, 0x1000, QUEUE);
        driver.restart();
        driver.enable(queue);
        queue.start(VirtioControl.F_VERSION_1);
        net = new VirtioNet("net", backend, VirtioNet.Options.of(2));
        net.filter().reset(2, false);
    }

    @AfterEach
    void free() {
        net.close();
        memory.close();
    }

    private static byte[] frame(int size) {
        byte[] frame = new byte[NetQueue.HEADER + size];
        new Random(size).nextBytes(frame);
        frame[NetQueue.HEADER] = 3; // to all of a group
        return frame;
    }

    private void giveRoom(int buffers) {
        for (int i = 0; i < buffers; i++) {
            driver.add(Buffer.toWrite(ROOM + (long) i * BUFFER, BUFFER));
        }
    }

    private void assertReceived(byte[] frame, int buffers) {
        byte[] received = new byte[frame.length];
        memory.read(ROOM, received);
        byte[] expected = frame.clone();
        expected[10] = (byte) buffers;
        expected[11] = 0;
        assertArrayEquals(expected, received);
    }

    @Test
    void restGoesIntoFurtherBuffers() throws ErrnoException {
        var receive = new NetReceive(net, host, queue, true, true);
        giveRoom(6);
        byte[] frame = frame(5000);
        host.waiting.add(frame);

        assertEquals(NetThread.Next.GO_ON, receive.step());

        List<GuestDriver.Used> used = driver.collect();
        assertEquals(
                List.of(1024L, 1024L, 1024L, 1024L, 916L),
                used.stream().map(GuestDriver.Used::written).toList());
        assertReceived(frame, 5);
        assertEquals(5000, net.received().bytes());
    }

    @Test
    void restGoesIntoTheSameBufferIfFramesAreNotMerged() throws ErrnoException {
        var receive = new NetReceive(net, host, queue, true, false);
        var pieces = new Buffer[6];
        Arrays.setAll(pieces, i -> Buffer.toWrite(ROOM + (long) i * BUFFER, BUFFER));
        driver.add(pieces);
        byte[] frame = frame(6000);
        host.waiting.add(frame);

        assertEquals(NetThread.Next.GO_ON, receive.step());

        assertEquals(
                List.of(6012L), driver.collect().stream().map(GuestDriver.Used::written).toList());
        assertReceived(frame, 1);
    }

    @Test
    void frameWithoutRoomForItsRestIsLostAndTheNextIsNot() throws ErrnoException {
        var receive = new NetReceive(net, host, queue, true, true);
        giveRoom(3);
        byte[] next = frame(60);
        host.waiting.add(frame(5000));
        host.waiting.add(next);

        assertEquals(NetThread.Next.GO_ON, receive.step());
        assertEquals(List.of(), driver.collect());
        assertEquals(1, net.received().dropped());
        assertEquals(NetThread.Next.GO_ON, receive.step());

        assertEquals(1, driver.collect().size());
        assertReceived(next, 1);
        assertEquals(1, net.received().frames());
    }
}
