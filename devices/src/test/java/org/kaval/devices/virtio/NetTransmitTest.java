package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
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

    @Test
    void frameThatTheHostRefusesIsLostAndTheNextGoes() throws Exception {
        try (GuestMemory memory = GuestDriver.memory(0x1_0000);
                var backend = SocketBackend.open(directory.resolve("net"))) {
            var queue = new VirtQueue(memory, 1, QUEUE, () -> {}, null);
            var driver = new GuestDriver(memory, 0x1000, QUEUE);
            driver.restart();
            driver.enable(queue);
            queue.start(VirtioControl.F_VERSION_1);
            var net = new VirtioNet("net", backend, VirtioNet.Options.of(2));
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
    }
}
