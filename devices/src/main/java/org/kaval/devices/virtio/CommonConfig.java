package org.kaval.devices.virtio;

import org.jspecify.annotations.Nullable;
import org.kaval.devices.Bus;
import org.kaval.devices.Device;
import org.kaval.devices.StateFields;

/// The common configuration structure of virtio-pci (§4.1.4.3).
///
/// | offset | size | register                                        | write                       |
/// |-------:|-----:|-------------------------------------------------|-----------------------------|
/// |   0x00 |    4 | which features the next shows                   | kept                        |
/// |   0x04 |    4 | 32 features of the device                       | ignored                     |
/// |   0x08 |    4 | which features the next takes                   | kept                        |
/// |   0x0c |    4 | 32 features of the driver                       | until `FEATURES_OK`         |
/// |   0x10 |    2 | vector for the configuration                    | 0xffff if there is no such  |
/// |   0x12 |    2 | how many queues                                 | ignored                     |
/// |   0x14 |    1 | status                                          | more bits, or 0: reset      |
/// |   0x15 |    1 | generation of the configuration                 | ignored                     |
/// |   0x16 |    2 | which queue the rest is about                   | kept                        |
/// |   0x18 |    2 | its size; 0 if there is no such queue           | until it is enabled         |
/// |   0x1a |    2 | its vector                                      | 0xffff if there is no such  |
/// |   0x1c |    2 | whether it is enabled                           | 1 enables it                |
/// |   0x1e |    2 | its doorbell: its number                        | ignored                     |
/// |   0x20 |    8 | its descriptors                                 | until it is enabled         |
/// |   0x28 |    8 | its available ring                              | until it is enabled         |
/// |   0x30 |    8 | its used ring                                   | until it is enabled         |
///
/// Each is accessed at its own width, those of 8 bytes in halves (§4.1.3.1); other accesses read as
/// ones and are ignored.
///
/// Any thread (the selectors are guarded by this).
final class CommonConfig implements Device {
    static final int SIZE = 0x38;

    private static final int DEVICE_FEATURE_SELECT = 0x00;
    private static final int DEVICE_FEATURE = 0x04;
    private static final int DRIVER_FEATURE_SELECT = 0x08;
    private static final int DRIVER_FEATURE = 0x0c;
    private static final int CONFIG_VECTOR = 0x10;
    private static final int NUM_QUEUES = 0x12;
    private static final int DEVICE_STATUS = 0x14;
    private static final int CONFIG_GENERATION = 0x15;
    private static final int QUEUE_SELECT = 0x16;
    private static final int QUEUE_SIZE = 0x18;
    private static final int QUEUE_VECTOR = 0x1a;
    private static final int QUEUE_ENABLE = 0x1c;
    private static final int QUEUE_NOTIFY_OFF = 0x1e;
    private static final int QUEUE_ADDRESSES = 0x20;

    private final VirtioControl control;
    private final Vectors vectors;
    private int deviceFeatureSelect;
    private int driverFeatureSelect;
    private int queueSelect;

    /// Which interrupts the driver has chosen.
    interface Vectors {
        int ofConfiguration();

        void setOfConfiguration(int vector);

        int ofQueue(int index);

        void setOfQueue(int index, int vector);
    }

    CommonConfig(VirtioControl control, Vectors vectors) {
        this.control = control;
        this.vectors = vectors;
    }

    @Override
    public synchronized long read(long offset, int size) {
        if (size != width(offset)) {
            return Bus.NOBODY;
        }
        return offset < QUEUE_SIZE ? readDevice((int) offset) : readQueue((int) offset);
    }

    @Override
    public synchronized void write(long offset, int size, long value) {
        if (size != width(offset)) {
            return;
        }
        if (offset < QUEUE_SIZE) {
            writeDevice((int) offset, (int) value);
        } else {
            VirtQueue queue = selected();
            if (queue != null) {
                writeQueue(queue, (int) offset, (int) value);
            }
        }
    }

    synchronized void persist(StateFields state) {
        int least = Integer.MIN_VALUE;
        int most = Integer.MAX_VALUE;
        deviceFeatureSelect = state.number("deviceFeatureSelect", deviceFeatureSelect, least, most);
        driverFeatureSelect = state.number("driverFeatureSelect", driverFeatureSelect, least, most);
        queueSelect = state.number("queueSelect", queueSelect, 0, 0xffff);
    }

    /// How wide the register at `offset` is; 0 if there begins none.
    private static int width(long offset) {
        if (offset < CONFIG_VECTOR || offset >= QUEUE_ADDRESSES) {
            return offset < SIZE && offset % Integer.BYTES == 0 ? Integer.BYTES : 0;
        }
        if (offset == DEVICE_STATUS || offset == CONFIG_GENERATION) {
            return 1;
        }
        return offset % Short.BYTES == 0 ? Short.BYTES : 0;
    }

    private long readDevice(int offset) {
        return switch (offset) {
            case DEVICE_FEATURE_SELECT -> deviceFeatureSelect;
            case DEVICE_FEATURE -> control.offeredFeatures(deviceFeatureSelect);
            case DRIVER_FEATURE_SELECT -> driverFeatureSelect;
            case DRIVER_FEATURE -> control.driverFeatures(driverFeatureSelect);
            case CONFIG_VECTOR -> vectors.ofConfiguration();
            case NUM_QUEUES -> control.queueCount();
            case DEVICE_STATUS -> control.status();
            case CONFIG_GENERATION -> control.configGeneration() & 0xff;
            case QUEUE_SELECT -> queueSelect;
            default -> Bus.NOBODY;
        };
    }

    private void writeDevice(int offset, int value) {
        switch (offset) {
            case DEVICE_FEATURE_SELECT -> deviceFeatureSelect = value;
            case DRIVER_FEATURE_SELECT -> driverFeatureSelect = value;
            case DRIVER_FEATURE -> control.setDriverFeatures(driverFeatureSelect, value);
            case CONFIG_VECTOR -> vectors.setOfConfiguration(value & 0xffff);
            case DEVICE_STATUS -> setStatus(value);
            case QUEUE_SELECT -> queueSelect = value & 0xffff;
            default -> {}
        }
    }

    private void setStatus(int value) {
        control.setStatus(value & 0xff);
        if (value == 0) {
            deviceFeatureSelect = 0;
            driverFeatureSelect = 0;
            queueSelect = 0;
        }
    }

    private long readQueue(int offset) {
        VirtQueue queue = selected();
        if (queue == null) {
            return 0; // §4.1.4.3.1: a size of 0 says that there is no such queue
        }
        return switch (offset) {
            case QUEUE_SIZE -> queue.size();
            case QUEUE_VECTOR -> vectors.ofQueue(queueSelect);
            case QUEUE_ENABLE -> queue.isReady() ? 1 : 0;
            case QUEUE_NOTIFY_OFF -> queueSelect;
            default -> {
                long address = queue.address(part(offset));
                yield isUpper(offset) ? address >>> Integer.SIZE : address;
            }
        };
    }

    private void writeQueue(VirtQueue queue, int offset, int value) {
        switch (offset) {
            case QUEUE_SIZE -> queue.setSize(value & 0xffff);
            case QUEUE_VECTOR -> vectors.setOfQueue(queueSelect, value & 0xffff);
            case QUEUE_ENABLE -> {
                if ((value & 0xffff) == 1) {
                    control.enable(queue);
                }
            }
            default -> {
                if (offset >= QUEUE_ADDRESSES) {
                    queue.setAddress(part(offset), isUpper(offset), value);
                }
            }
        }
    }

    private static VirtQueue.Part part(int offset) {
        return VirtQueue.Part.at(offset - QUEUE_ADDRESSES, Long.BYTES);
    }

    private static boolean isUpper(int offset) {
        return offset % Long.BYTES != 0;
    }

    private @Nullable VirtQueue selected() {
        return queueSelect < control.queueCount() ? control.queue(queueSelect) : null;
    }
}
