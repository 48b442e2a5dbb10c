package org.kaval.devices.virtio;

import org.kaval.linux.IoVector;
import org.kaval.memory.GuestFault;

/// The buffers that the driver has given for packets to it. Some are taken ahead, so that one read
/// of a stream fills several. One thread; allocates nothing.
final class VsockBuffers {
    /// How many are taken ahead at most: with the 4 KiB of Linux, a read has 64 KiB.
    static final int AHEAD = 16;

    private final VirtQueue queue;
    private final DescriptorChain[] taken = new DescriptorChain[AHEAD];
    private int first;
    private int count;

    VsockBuffers(VirtQueue queue) {
        this.queue = queue;
        for (int i = 0; i < AHEAD; i++) {
            taken[i] = new DescriptorChain(queue.memory());
        }
    }

    /// Whether there is one; if not, the driver rings when there is.
    ///
    /// @throws GuestFault if the driver has broken the rules
    boolean isAvailable() {
        while (!reach(0)) {
            if (!queue.awaitRequest()) {
                return false;
            }
        }
        return true;
    }

    /// Whether there are more than `index`.
    private boolean reach(int index) {
        if (index == count && count < AHEAD) {
            DescriptorChain next = chain(count);
            if (queue.take(next)) {
                count++;
                long size = next.writable().size();
                if (size <= VsockHeader.SIZE || next.readable().size() > 0) {
                    throw new GuestFault(
                            "a buffer for a packet of %d bytes to read and %d to write"
                                    .formatted(next.readable().size(), size));
                }
            }
        }
        return index < count;
    }

    private DescriptorChain chain(int index) {
        return taken[(first + index) % AHEAD];
    }

    private static long room(DescriptorChain chain) {
        return chain.writable().size() - VsockHeader.SIZE;
    }

    /// Appends the room for data in the next buffers to `vector`.
    ///
    /// @param most how many buffers
    /// @param enough how many bytes are not exceeded by more than one buffer
    void addRoomTo(IoVector vector, int most, long enough) {
        for (int i = 0; i < most && vector.byteSize() < enough && reach(i); i++) {
            GuestBuffers buffers = chain(i).writable();
            if (vector.count() + buffers.count() > vector.capacity()) {
                return;
            }
            buffers.addTo(vector, VsockHeader.SIZE, room(chain(i)));
        }
    }

    /// Sends a packet in the next buffer.
    ///
    /// @param most how many bytes of data there are at its place
    /// @return how many of them this packet has
    long send(VsockHeader header, long most) {
        DescriptorChain next = chain(0);
        long length = Math.min(most, room(next));
        header.length(length).write(next.writable());
        queue.complete(next, VsockHeader.SIZE + length);
        first = (first + 1) % AHEAD;
        count--;
        return length;
    }

    /// Gives back what has been taken ahead.
    void putBack() {
        for (; count > 0; count--) {
            queue.putBack();
        }
    }
}
