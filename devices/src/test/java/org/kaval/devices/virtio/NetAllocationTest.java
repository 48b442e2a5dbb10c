package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.Host;
import org.kaval.devices.net.SocketBackend;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.NetThread.Next;
import org.kaval.linux.ErrnoException;
import org.kaval.memory.GuestMemory;

/// A frame of one guest goes to another, and nothing is allocated.
class NetAllocationTest {
    private static final int QUEUE = VirtioNet.QUEUE_SIZE;
    private static final long RINGS = 0x1000;
    private static final long OTHER_RINGS = 0x4000;
    private static final long FRAME = 0x8000;
    private static final long ROOM = 0xa000;

    @TempDir private Path directory;

    private static GuestDriver driver(GuestMemory memory, long rings, VirtQueue queue) {
        var driver = new GuestDriver(memory, rings, QUEUE);
        driver.restart();
        driver.enable(queue);
        queue.start(VirtioControl.F_VERSION_1 | VirtQueue.F_EVENT_IDX);
        return driver;
    }

    @Test
    void frameAllocatesNothing() throws Exception {
        try (GuestMemory memory = GuestDriver.memory(0x1_0000);
                var there = SocketBackend.open(directory.resolve("net"));
                var here = SocketBackend.open(directory.resolve("net"))) {
            var out = new VirtQueue(memory, 1, QUEUE, () -> {}, null);
            var in = new VirtQueue(memory, 0, QUEUE, () -> {}, null);
            GuestDriver sending = driver(memory, RINGS, out);
            GuestDriver receiving = driver(memory, OTHER_RINGS, in);
            var sender = new VirtioNet("sender", here, VirtioNet.Options.of(2));
            var receiver = new VirtioNet("receiver", there, VirtioNet.Options.of(2));
            var transmit = new NetTransmit(sender, here.queue(0), out, false);
            var receive = new NetReceive(receiver, there.queue(0), in, false, true);
            assertEquals(Next.AWAIT_HOST, receive.step()); // accepts
            int frame = sending.add(Buffer.toRead(FRAME, 1526));
            int room = receiving.add(Buffer.toWrite(ROOM, 2048));
            go(transmit, receive);

            long bytes =
                    Host.allocatedBytes(() -> {
                        sending.offer(frame);
                        receiving.offer(room);
                        go(transmit, receive);
                    });

            assertEquals(0, bytes);
            assertEquals(400_001, receiver.received().frames());
            assertEquals(400_001L * 1514, receiver.received().bytes());
        }
    }

    private static void go(NetTransmit transmit, NetReceive receive) {
        try {
            if (transmit.step() != Next.GO_ON || receive.step() != Next.GO_ON) {
                throw new AssertionError("a frame has not gone");
            }
        } catch (ErrnoException e) {
            throw new AssertionError(e);
        }
    }
}
