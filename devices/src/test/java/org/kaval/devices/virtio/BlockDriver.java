package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import org.kaval.devices.FakeDoorbells;
import org.kaval.devices.Host;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.linux.ErrnoException;
import org.kaval.memory.GuestMemory;

/// Plays the driver of a disk, without a transport.
final class BlockDriver implements AutoCloseable {
    static final long RAM = 4 << 20;
    static final long HEADER = 0x10_0000;
    static final long STATUS = 0x10_1000;
    static final long DATA = 0x20_0000;
    static final long ALL =
            VirtioControl.F_VERSION_1
                    | VirtQueue.F_EVENT_IDX
                    | VirtQueue.F_INDIRECT_DESC
                    | VirtioBlock.F_FLUSH
                    | VirtioBlock.F_CONFIG_WCE
                    | VirtioBlock.F_DISCARD
                    | VirtioBlock.F_WRITE_ZEROES;
    private static final int UNWRITTEN = 0xee;
    private static final long RINGS = 0x1_0000;
    private static final long RINGS_OF_A_QUEUE = 0x4000;

    final GuestMemory memory = GuestDriver.memory(RAM);
    final AtomicInteger configChanges = new AtomicInteger();
    final AtomicInteger interrupts = new AtomicInteger();
    final List<GuestDriver> queues = new ArrayList<>();
    final VirtioBlock disk;
    final VirtioControl control;

    BlockDriver(VirtioBlock disk) throws ErrnoException {
        this.disk = disk;
        control =
                new VirtioControl(
                        disk,
                        new VirtioHost(
                                memory,
                                new FakeDoorbells(),
                                bug -> {
                                    throw new AssertionError(bug);
                                }),
                        new VirtioControl.Notifications() {
                            @Override
                            public void queueUsed(int index) {
                                interrupts.incrementAndGet();
                            }

                            @Override
                            public void configChanged() {
                                configChanges.incrementAndGet();
                            }

                            @Override
                            public void forget() {}
                        });
        for (int i = 0; i < control.queueCount(); i++) {
            queues.add(
                    new GuestDriver(memory, RINGS + RINGS_OF_A_QUEUE * i, VirtioBlock.QUEUE_SIZE));
        }
    }

    void begin(long features) {
        control.setStatus(0);
        control.setDriverFeatures(0, (int) features);
        control.setDriverFeatures(1, (int) (features >>> 32));
        control.setStatus(VirtioControl.FEATURES_OK);
        assertEquals(VirtioControl.FEATURES_OK, control.status());
        for (int i = 0; i < queues.size(); i++) {
            queues.get(i).restart();
            VirtQueue queue = control.queue(i);
            queue.setAddress(VirtQueue.Part.DESCRIPTORS, queues.get(i).descriptors);
            queue.setAddress(VirtQueue.Part.AVAILABLE, queues.get(i).available);
            queue.setAddress(VirtQueue.Part.USED, queues.get(i).used);
            control.enable(queue);
        }
        control.setStatus(VirtioControl.FEATURES_OK | VirtioControl.DRIVER_OK);
    }

    boolean needsReset() {
        return (control.status() & VirtioControl.NEEDS_RESET) != 0;
    }

    void header(int type, long sector) {
        memory.writeLe32(HEADER, type);
        memory.writeLe32(HEADER + 4, 0);
        memory.writeLe64(HEADER + 8, sector);
    }

    /// Adds a request to a queue and rings, but does not wait.
    void submit(int queue, int type, long sector, Buffer... data) {
        header(type, sector);
        memory.writeByte(STATUS, UNWRITTEN);
        var buffers = new ArrayList<Buffer>();
        buffers.add(Buffer.toRead(HEADER, 16));
        buffers.addAll(List.of(data));
        buffers.add(Buffer.toWrite(STATUS, 1));
        queues.get(queue).add(buffers.toArray(Buffer[]::new));
        control.ring(queue);
    }

    void awaitUsed(int queue, int count) {
        until("requests are used", () -> queues.get(queue).usedIndex() == count);
    }

    /// Makes a request, and returns its status.
    int request(int queue, int type, long sector, Buffer... data) {
        int before = queues.get(queue).usedIndex();
        submit(queue, type, sector, data);
        until("the request is used", () -> queues.get(queue).usedIndex() != before);
        queues.get(queue).collect();
        int status = memory.readByte(STATUS);
        assertTrue(status != UNWRITTEN, "a status");
        return status;
    }

    void until(String what, Callable<Boolean> condition) {
        try {
            Host.until(what, condition);
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    @Override
    public void close() {
        control.close();
        memory.close();
    }
}
