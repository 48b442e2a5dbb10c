package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.RateLimit;
import org.kaval.devices.net.NetQueue;
import org.kaval.devices.net.PcapFile;
import org.kaval.devices.net.SocketBackend;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.IoVector;
import org.kaval.memory.GuestMemory;

class NetTransmitTest {
    private static final int QUEUE = VirtioNet.QUEUE_SIZE;
    private static final long FRAME = 0x8000;
    private static final int GSO_TYPE = 1; // of struct virtio_net_hdr

    @TempDir private Path directory;
    private Path pcap = Path.of("");
    private GuestMemory memory;
    private VirtQueue queue;
    private GuestDriver driver;
    private VirtioNet net;

    /// Refuses frames with a kind of segmentation that there is not, as a tap device does.
    private static final class Tap extends QuietQueue {
        private final GuestMemory memory;
        final List<Long> taken = new ArrayList<>();

        Tap(GuestMemory memory) {
            this.memory = memory;
        }

        @Override
        public long send(IoVector frame) throws ErrnoException {
            if (memory.readByte(FRAME + GSO_TYPE) > 5) {
                throw new ErrnoException("writev", "tap0", Errno.EINVAL);
            }
            taken.add(frame.byteSize());
            return frame.byteSize();
        }
    }

    /// Takes nothing until it is told to.
    private static final class Slow extends QuietQueue {
        private final Path pcap;
        final List<Long> takenDown = new ArrayList<>(); // bytes, at each try
        boolean takes;

        Slow(Path pcap) {
            this.pcap = pcap;
        }

        @Override
        public long send(IoVector frame) {
            try {
                takenDown.add(Files.size(pcap));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            return takes ? frame.byteSize() : WOULD_WAIT;
        }
    }

    @BeforeEach
    void make() throws IOException {
        pcap = directory.resolve("pcap");
        memory = GuestDriver.memory(0x1_0000);
        queue = new VirtQueue(memory, 1, QUEUE, () -> {}, null);
        driver = new GuestDriver(memory, 0x1000, QUEUE);
        driver.restart();
        driver.enable(queue);
        queue.start(VirtioControl.F_VERSION_1);
        var unlimited = RateLimit.Rate.UNLIMITED;
        var options = new VirtioNet.Options(2, 0, unlimited, unlimited, PcapFile.create(pcap));
        net = new VirtioNet("net", SocketBackend.open(directory.resolve("net")), options);
    }

    @AfterEach
    void free() {
        net.close();
        memory.close();
    }

    @Test
    void frameThatTheHostRefusesIsLostAndTheNextGoes() throws ErrnoException {
        var tap = new Tap(memory);
        var transmit = new NetTransmit(net, tap, queue, true);

        memory.writeByte(FRAME + GSO_TYPE, 0x7f);
        driver.add(Buffer.toRead(FRAME, 112));
        assertEquals(NetThread.Next.GO_ON, transmit.step());
        memory.writeByte(FRAME + GSO_TYPE, 1);
        driver.add(Buffer.toRead(FRAME, 113));
        assertEquals(NetThread.Next.GO_ON, transmit.step());

        assertEquals(2, driver.collect().size());
        assertEquals(List.of(113L), tap.taken);
        assertEquals(1, net.sent().dropped());
        assertEquals(1, net.sent().frames());
    }

    @Test
    void frameIsTakenDownOnceAndBeforeItIsSent() throws ErrnoException {
        var slow = new Slow(pcap);
        var transmit = new NetTransmit(net, slow, queue, false);
        driver.add(Buffer.toRead(FRAME, NetQueue.HEADER + 60));
        driver.add(Buffer.toRead(FRAME, NetQueue.HEADER + 60));

        assertEquals(NetThread.Next.AWAIT_HOST, transmit.step());
        assertEquals(NetThread.Next.AWAIT_HOST, transmit.step());
        slow.takes = true;
        assertEquals(NetThread.Next.GO_ON, transmit.step());
        assertEquals(NetThread.Next.GO_ON, transmit.step());

        long one = 24 + 16 + 60; // headers of the file and of a frame
        assertEquals(List.of(one, one, one, one + 16 + 60), slow.takenDown);
        assertEquals(2, driver.collect().size());
    }
}
