package org.kaval.devices.virtio;

import java.util.List;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Bus;
import org.kaval.devices.Device;
import org.kaval.devices.InterruptLine;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateFields;
import org.kaval.kvm.KvmVm.Doorbell;
import org.kaval.linux.ErrnoException;

/// A virtio device as registers in memory, version 2 (§4.2.2).
///
/// | offset | register                               | write                                        |
/// |-------:|----------------------------------------|----------------------------------------------|
/// |   0x00 | `virt`                                 | ignored                                      |
/// |   0x04 | version: 2                             | ignored                                      |
/// |   0x08 | which kind of device                   | ignored                                      |
/// |   0x0c | vendor                                 | ignored                                      |
/// |   0x10 | 32 features of the device              | ignored                                      |
/// |   0x14 |                                        | which features that shows                    |
/// |   0x20 |                                        | 32 features of the driver                    |
/// |   0x24 |                                        | which features that takes                    |
/// |   0x30 |                                        | which queue 0x34 to 0xa4 are about           |
/// |   0x34 | its size at most; 0: no such queue     | ignored                                      |
/// |   0x38 |                                        | its size                                     |
/// |   0x44 | whether it is in use                   | 1 begins, 0 ends that                        |
/// |   0x50 |                                        | the queue that has requests: KVM takes it    |
/// |   0x60 | interrupts: 0 a queue, 1 configuration | ignored                                      |
/// |   0x64 |                                        | which of them are dealt with                 |
/// |   0x70 | status                                 | more bits, or 0: reset                       |
/// | 0x80, 0x90, 0xa0 |                              | its descriptors, available and used ring, in two halves |
/// | 0xac-0xbc | shared memory: none                 | ignored                                      |
/// |   0xfc | generation of the configuration        | ignored                                      |
/// |  0x100 | the device's configuration, any width  | as the device has it                         |
///
/// All but the configuration are of 32 bits; other accesses read as 0 and are ignored.
///
/// The interrupt is an edge: a driver that has taken note of one looks at what is used after that,
/// and what is used later is another edge.
///
/// Any thread (the selectors are guarded by this).
public final class VirtioMmio implements Device, Persistent, AutoCloseable {
    /// How much address space it takes.
    public static final long SIZE = 0x1000;

    private static final int MAGIC = 0x7472_6976; // "virt"
    private static final int VERSION = 2;
    private static final int VENDOR = 0x1af4;

    private static final int MAGIC_VALUE = 0x00;
    private static final int VERSION_NUMBER = 0x04;
    private static final int DEVICE_ID = 0x08;
    private static final int VENDOR_ID = 0x0c;
    private static final int DEVICE_FEATURES = 0x10;
    private static final int DEVICE_FEATURES_SEL = 0x14;
    private static final int DRIVER_FEATURES = 0x20;
    private static final int DRIVER_FEATURES_SEL = 0x24;
    private static final int QUEUE_SEL = 0x30;
    private static final int QUEUE_SIZE_MAX = 0x34;
    private static final int QUEUE_SIZE = 0x38;
    private static final int QUEUE_READY = 0x44;
    private static final int QUEUE_NOTIFY = 0x50;
    private static final int INTERRUPT_STATUS = 0x60;
    private static final int INTERRUPT_ACK = 0x64;
    private static final int STATUS = 0x70;
    private static final int QUEUE_DESC = 0x80;
    private static final int QUEUE_DRIVER = 0x90;
    private static final int QUEUE_DEVICE = 0xa0;
    private static final int SHM_LENGTH = 0xb0;
    private static final int SHM_END = 0xc0;
    private static final int CONFIG_GENERATION = 0xfc;
    private static final int CONFIG = 0x100;

    private static final int USED_BUFFER = 1;
    private static final int CONFIG_CHANGE = 1 << 1;

    private final VirtioControl control;
    private final InterruptLine line;
    private final Object interruptLock = new Object();
    private int interrupts; // guarded by interruptLock
    private int deviceFeaturesSelect;
    private int driverFeaturesSelect;
    private int queueSelect;

    private VirtioMmio(VirtioDevice device, VirtioHost host, InterruptLine line)
            throws ErrnoException {
        this.line = line;
        this.control = new VirtioControl(device, host, new Interrupts());
    }

    /// Makes registers of `device`, which it takes over.
    ///
    /// @param base at which guest-physical address they will be
    public static VirtioMmio create(
            VirtioDevice device, VirtioHost host, long base, InterruptLine line)
            throws ErrnoException {
        var created = new VirtioMmio(device, host, line);
        for (int i = 0; i < created.control.queueCount(); i++) {
            host.doorbells()
                    .assign(
                            created.control.doorbell(i).event(),
                            new Doorbell(
                                    Doorbell.AddressSpace.MMIO,
                                    base + QUEUE_NOTIFY,
                                    Integer.BYTES,
                                    OptionalLong.of(i)));
        }
        return created;
    }

    /// The device's queues, in order.
    public List<VirtQueue> queues() {
        return control.queues();
    }

    VirtioControl control() {
        return control;
    }

    @Override
    public long read(long offset, int size) {
        if (offset >= CONFIG) {
            return control.readConfig(offset - CONFIG, size);
        }
        return size == Integer.BYTES ? read32((int) offset) : 0;
    }

    @Override
    public void write(long offset, int size, long value) {
        if (offset >= CONFIG) {
            control.writeConfig(offset - CONFIG, size, value);
        } else if (size == Integer.BYTES) {
            write32((int) offset, (int) value);
        }
    }

    private synchronized long read32(int offset) {
        return switch (offset) {
            case MAGIC_VALUE -> MAGIC;
            case VERSION_NUMBER -> VERSION;
            case DEVICE_ID -> control.device().type();
            case VENDOR_ID -> VENDOR;
            case DEVICE_FEATURES -> control.offeredFeatures(deviceFeaturesSelect);
            case QUEUE_SIZE_MAX -> selected() == null ? 0 : selected().maxSize();
            case QUEUE_READY -> selected() != null && selected().isReady() ? 1 : 0;
            case INTERRUPT_STATUS -> interruptStatus();
            case STATUS -> control.status();
            case CONFIG_GENERATION -> control.configGeneration();
            default -> offset >= SHM_LENGTH && offset < SHM_END ? Bus.NOBODY : 0;
        };
    }

    private synchronized void write32(int offset, int value) {
        switch (offset) {
            case DEVICE_FEATURES_SEL -> deviceFeaturesSelect = value;
            case DRIVER_FEATURES -> control.setDriverFeatures(driverFeaturesSelect, value);
            case DRIVER_FEATURES_SEL -> driverFeaturesSelect = value;
            case QUEUE_SEL -> queueSelect = value;
            case QUEUE_NOTIFY -> control.ring(value);
            case INTERRUPT_ACK -> acknowledge(value);
            case STATUS -> setStatus(value);
            default -> {
                VirtQueue queue = selected();
                if (queue != null) {
                    writeQueue(queue, offset, value);
                }
            }
        }
    }

    private void setStatus(int value) {
        control.setStatus(value);
        if (value == 0) {
            deviceFeaturesSelect = 0;
            driverFeaturesSelect = 0;
            queueSelect = 0;
        }
    }

    private void writeQueue(VirtQueue queue, int offset, int value) {
        switch (offset) {
            case QUEUE_SIZE -> queue.setSize(value);
            case QUEUE_READY -> {
                if (value == 1) {
                    control.enable(queue);
                } else if (value == 0) {
                    queue.disable();
                }
            }
            case QUEUE_DESC,
                    QUEUE_DESC + 4,
                    QUEUE_DRIVER,
                    QUEUE_DRIVER + 4,
                    QUEUE_DEVICE,
                    QUEUE_DEVICE + 4 ->
                    queue.setAddress(
                            VirtQueue.Part.at(offset - QUEUE_DESC, QUEUE_DRIVER - QUEUE_DESC),
                            offset % Long.BYTES != 0,
                            value);
            default -> {}
        }
    }

    private @Nullable VirtQueue selected() {
        return queueSelect >= 0 && queueSelect < control.queueCount()
                ? control.queue(queueSelect)
                : null;
    }

    private int interruptStatus() {
        synchronized (interruptLock) {
            return interrupts;
        }
    }

    private void acknowledge(int bits) {
        synchronized (interruptLock) {
            interrupts &= ~bits;
        }
    }

    private final class Interrupts implements VirtioControl.Notifications {
        @Override
        public void queueUsed(int index) {
            raise(USED_BUFFER);
        }

        @Override
        public void configChanged() {
            raise(CONFIG_CHANGE);
        }

        private void raise(int bit) {
            synchronized (interruptLock) {
                interrupts |= bit;
            }
            line.pulse();
        }

        @Override
        public void forget() {
            synchronized (interruptLock) {
                interrupts = 0;
            }
        }
    }

    @Override
    public void hold() {
        control.hold();
    }

    @Override
    public boolean awaitIdle(long nanos) throws InterruptedException {
        return control.awaitIdle(nanos);
    }

    @Override
    public void release() {
        control.release();
    }

    @Override
    public synchronized void persist(StateFields state) {
        int least = Integer.MIN_VALUE;
        int most = Integer.MAX_VALUE;
        deviceFeaturesSelect =
                state.number("deviceFeaturesSelect", deviceFeaturesSelect, least, most);
        driverFeaturesSelect =
                state.number("driverFeaturesSelect", driverFeaturesSelect, least, most);
        queueSelect = state.number("queueSelect", queueSelect, least, most);
        synchronized (interruptLock) {
            interrupts = state.number("interrupts", interrupts, 0, USED_BUFFER | CONFIG_CHANGE);
        }
        control.persist(state.part("control"));
    }

    @Override
    public void restored() {
        control.restored();
    }

    /// Ends the device. The guest may no longer run.
    @Override
    public void close() {
        control.close();
    }

    @Override
    public String toString() {
        return control.device().name();
    }
}
