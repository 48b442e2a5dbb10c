package org.kaval.devices.virtio;

/// What a virtqueue knows besides what is in the guest's memory: its registers, and how far the
/// device has come in the rings.
///
/// @param size how many descriptors, a power of two to {@link VirtQueue#MAX_SIZE}, or 0
/// @param ready whether the driver uses it
/// @param descriptors guest-physical address of the descriptor table
/// @param available that of the ring of the driver
/// @param used that of the ring of the device
/// @param nextAvailable which entry of the available ring comes next: 16 bits
/// @param nextUsed which entry of the used ring comes next: 16 bits
public record VirtQueueState(
        int size,
        boolean ready,
        long descriptors,
        long available,
        long used,
        int nextAvailable,
        int nextUsed) {
    public VirtQueueState {
        if (size < 0 || size > VirtQueue.MAX_SIZE || Integer.bitCount(size) > 1) {
            throw new IllegalArgumentException("no size of a queue: " + size);
        }
        if (nextAvailable >>> Short.SIZE != 0 || nextUsed >>> Short.SIZE != 0) {
            throw new IllegalArgumentException(
                    "no ring indices: 0x%x, 0x%x".formatted(nextAvailable, nextUsed));
        }
    }
}
