package org.kaval.devices.virtio;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// Plays the driver of one virtqueue: makes chains of descriptors in a guest's memory, and looks at
/// what the device has used. It can do all that a driver must not do, too.
///
/// The rings lie one behind the other from a page on, and the descriptors are given out in turn.
final class GuestDriver {
    static final int NEXT = 1;
    static final int WRITE = 2;
    static final int INDIRECT = 4;

    final GuestMemory memory;
    final int size;
    final long descriptors;
    final long available;
    final long used;
    private final Map<Integer, Integer> lengths = new HashMap<>(); // of chains, by their head
    private int nextDescriptor;
    private int availableIndex;
    private int seen; // of the used ring

    /// A piece of a request.
    ///
    /// @param writable for the device
    record Buffer(long address, long length, boolean writable) {
        static Buffer toRead(long address, long length) {
            return new Buffer(address, length, false);
        }

        static Buffer toWrite(long address, long length) {
            return new Buffer(address, length, true);
        }
    }

    /// An entry of the used ring.
    record Used(int head, long written) {}

    /// @param base where its rings are: a page
    GuestDriver(GuestMemory memory, long base, int size) {
        this.memory = memory;
        this.size = size;
        this.descriptors = base;
        this.available = base + 16L * size;
        this.used = (available + 6 + 2L * size + 3) & ~3L;
    }

    /// RAM from address 0 on.
    static GuestMemory memory(long size) {
        try {
            return GuestMemory.allocate(
                    List.of(new GuestRange(0, size)), new Backing.Anonymous(false));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    /// Tells the queue where the rings are, and enables it.
    void enable(VirtQueue queue) {
        queue.setSize(size);
        queue.setAddress(VirtQueue.Part.DESCRIPTORS, descriptors);
        queue.setAddress(VirtQueue.Part.AVAILABLE, available);
        queue.setAddress(VirtQueue.Part.USED, used);
        queue.enable();
    }

    /// Begins anew with empty rings, as after a reset.
    void restart() {
        nextDescriptor = 0;
        availableIndex = 0;
        seen = 0;
        lengths.clear();
        memory.write(descriptors, new byte[(int) (usedEnd() - descriptors)]);
    }

    long usedEnd() {
        return used + 6 + 8L * size;
    }

    /// Adds a request, and returns its head.
    int add(Buffer... buffers) {
        int head = nextDescriptor;
        for (int i = 0; i < buffers.length; i++) {
            int flags = (buffers[i].writable ? WRITE : 0) | (i + 1 < buffers.length ? NEXT : 0);
            int at = nextDescriptor;
            nextDescriptor = (nextDescriptor + 1) % size;
            descriptor(at, buffers[i].address, buffers[i].length, flags, nextDescriptor);
        }
        offer(head);
        return head;
    }

    /// Adds a request whose descriptors are in a table at `table`.
    int addIndirect(long table, Buffer... buffers) {
        for (int i = 0; i < buffers.length; i++) {
            int flags = (buffers[i].writable ? WRITE : 0) | (i + 1 < buffers.length ? NEXT : 0);
            write(table, i, buffers[i].address, buffers[i].length, flags, i + 1);
        }
        int head = nextDescriptor;
        nextDescriptor = (nextDescriptor + 1) % size;
        descriptor(head, table, 16L * buffers.length, INDIRECT, 0);
        offer(head);
        return head;
    }

    /// Writes descriptor `index`.
    void descriptor(int index, long address, long length, int flags, int next) {
        write(descriptors, index, address, length, flags, next);
    }

    /// Writes descriptor `index` of a table.
    void write(long table, int index, long address, long length, int flags, int next) {
        long at = table + 16L * index;
        memory.writeLe64(at, address);
        memory.writeLe32(at + 8, (int) length);
        memory.writeLe16(at + 12, flags);
        memory.writeLe16(at + 14, next);
    }

    /// Makes the chain that begins at `head` available.
    void offer(int head) {
        memory.writeLe16(available + 4 + 2L * (availableIndex % size), head);
        setAvailableIndex(availableIndex + 1);
    }

    /// Writes the index of the available ring, whatever is in the ring.
    void setAvailableIndex(int index) {
        availableIndex = index & 0xffff;
        memory.releaseLe16(available + 2, availableIndex);
    }

    void setAvailableFlags(int flags) {
        memory.writeLe16(available, flags);
    }

    /// Says of which used entry the driver wants to hear.
    void setUsedEvent(int index) {
        memory.writeLe16(available + 4 + 2L * size, index);
    }

    /// At which available entry the device wants to be rung.
    int availableEvent() {
        return memory.readLe16(used + 4 + 8L * size);
    }

    int usedIndex() {
        return memory.acquireLe16(used + 2);
    }

    /// What the device has used since the last call.
    List<Used> collect() {
        var all = new ArrayList<Used>();
        int index = usedIndex();
        while (seen != index) {
            long entry = used + 4 + 8L * (seen % size);
            all.add(
                    new Used(
                            memory.readLe32(entry),
                            Integer.toUnsignedLong(memory.readLe32(entry + 4))));
            seen = (seen + 1) & 0xffff;
        }
        return all;
    }
}
