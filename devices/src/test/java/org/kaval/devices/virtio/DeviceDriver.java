package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.kaval.devices.FakeDoorbells;
import org.kaval.devices.Host;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.GuestDriver.Used;
import org.kaval.linux.ErrnoException;
import org.kaval.memory.GuestMemory;

/// Plays the driver of any virtio device, without a transport.
final class DeviceDriver implements AutoCloseable {
    static final long RAM = 8 << 20;
    static final long DATA = 0x20_0000;
    static final long DEFAULT = VirtioControl.F_VERSION_1 | VirtQueue.F_EVENT_IDX;
    private static final long RINGS = 0x1_0000;
    private static final long RINGS_OF_A_QUEUE = 0x4000;

    final GuestMemory memory;
    final AtomicInteger configChanges = new AtomicInteger();
    final AtomicIntegerArray calls; // by queue
    final List<GuestDriver> queues = new ArrayList<>();
    final VirtioControl control;

    DeviceDriver(VirtioDevice device) throws ErrnoException {
        this(device, GuestDriver.memory(RAM));
    }

    /// Takes over both.
    DeviceDriver(VirtioDevice device, GuestMemory memory) throws ErrnoException {
        this.memory = memory;
        calls = new AtomicIntegerArray(device.queueSizes().size());
        control =
                new VirtioControl(
                        device,
                        new VirtioHost(
                                memory,
                                new FakeDoorbells(),
                                bug -> {
                                    throw new AssertionError(bug);
                                }),
                        new VirtioControl.Notifications() {
                            @Override
                            public void queueUsed(int index) {
                                calls.incrementAndGet(index);
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
                    new GuestDriver(
                            memory, RINGS + RINGS_OF_A_QUEUE * i, device.queueSizes().get(i)));
        }
    }

    /// Resets the device and sets it up, with empty rings.
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

    /// Adds a request and rings, but does not wait.
    void submit(int queue, Buffer... buffers) {
        queues.get(queue).add(buffers);
        control.ring(queue);
    }

    /// Adds a request, and returns what has become of it.
    Used request(int queue, Buffer... buffers) {
        submit(queue, buffers);
        return awaitUsed(queue, 1).getFirst();
    }

    /// Waits until so many more requests have been used.
    List<Used> awaitUsed(int queue, int count) {
        var used = new ArrayList<Used>();
        until(
                "requests are used",
                () -> {
                    used.addAll(queues.get(queue).collect());
                    return used.size() >= count;
                });
        assertEquals(count, used.size());
        return used;
    }

    void awaitNeedsReset() {
        until("it needs a reset", () -> (control.status() & VirtioControl.NEEDS_RESET) != 0);
    }

    byte[] read(long address, int size) {
        byte[] bytes = new byte[size];
        memory.read(address, bytes);
        return bytes;
    }

    static void until(String what, Callable<Boolean> condition) {
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
