package org.kaval.devices.block;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/// How often each cluster of a qcow2 image is referred to, and thereby which are free: the refcount
/// table, which is in memory, and the refcount blocks, of which some are. An entry is 1 to 64 bits
/// wide.
///
/// Under the lock of the image.
final class Refcounts {
    private final BlockFile file;
    private final String name;
    private final int clusterBits;
    private final int order;
    private final long perBlock;
    private final TableCache blocks;
    private final ClusterMap map; // knows where the fixed tables are
    private long[] table;
    private boolean tableDirty;

    /// No cluster below is free.
    private long firstFree;

    /// From here on, nothing has ever been in the file.
    private long untouched;

    private boolean lastWasUntouched;
    private int lastCount;
    private final boolean punches;

    /// @param punches whether the space of freed clusters goes back to the host
    Refcounts(BlockFile file, Qcow2Header header, ClusterMap map, boolean punches)
            throws IOException {
        this.file = file;
        this.map = map;
        this.punches = punches;
        name = header.name();
        clusterBits = header.clusterBits();
        order = header.refcountOrder();
        perBlock = header.refcountsPerBlock();
        blocks = new TableCache(file, header.clusterSize());
        table =
                ClusterMap.readTable(
                        file,
                        header.refcountTableOffset(),
                        (header.refcountTableClusters() << clusterBits) / Long.BYTES);
        untouched = Math.ceilDiv(file.size(), header.clusterSize());
    }

    /// Takes `count` clusters that follow each other.
    ///
    /// @return the offset of the first
    long allocate(int count) throws IOException {
        long first = firstFree;
        while (true) {
            first = nextFree(first);
            int found = freeFrom(first, count);
            if (found == count) {
                return take(first, count);
            }
            first += found;
        }
    }

    /// Takes the first free clusters that follow each other, `count` at most.
    ///
    /// @return the offset of the first; {@link #lastCount} says how many they are
    long allocateUpTo(int count) throws IOException {
        long first = nextFree(firstFree);
        return take(first, freeFrom(first, count));
    }

    private long nextFree(long from) throws IOException {
        long cluster = from;
        while (!isFree(cluster)) {
            cluster++;
        }
        firstFree = from == firstFree ? cluster : firstFree;
        return cluster;
    }

    private int freeFrom(long first, int most) throws IOException {
        int count = 0;
        while (count < most && isFree(first + count)) {
            count++;
        }
        return count;
    }

    private boolean isFree(long cluster) throws IOException {
        provideBlock(cluster);
        return get(cluster) == 0 && map.fixed().allows(cluster << clusterBits);
    }

    private long take(long first, int count) throws IOException {
        for (long i = first; i < first + count; i++) {
            set(i, 1);
        }
        long end = first + count;
        firstFree = first == firstFree ? end : firstFree;
        lastCount = count;
        lastWasUntouched = first >= untouched;
        untouched = Math.max(untouched, end);
        return first << clusterBits;
    }

    /// How many clusters {@link #allocateUpTo} gave last.
    int lastCount() {
        return lastCount;
    }

    /// Whether what {@link #allocate} gave last has never been written, so that it is zeroes.
    boolean lastWasUntouched() {
        return lastWasUntouched;
    }

    /// Gives up one reference to each of the clusters that a range is in.
    void release(long offset, long length) throws IOException {
        long end = Math.ceilDiv(offset + length, 1L << clusterBits);
        long free = -1; // where a range of freed ones begins
        for (long cluster = offset >>> clusterBits; cluster < end; cluster++) {
            long count = get(cluster);
            if (count == 0) {
                throw new CorruptImageException(
                        name,
                        cluster << clusterBits,
                        "a cluster that is in use has the reference count 0, expected at least 1;"
                                + " run kaval disk check --repair all");
            }
            set(cluster, count - 1);
            if (crowded()) {
                write(); // nothing refers to these clusters any more, so at any time
            }
            if (count == 1) {
                firstFree = Math.min(firstFree, cluster);
                free = free < 0 ? cluster : free;
            } else {
                punch(free, cluster);
                free = -1;
            }
        }
        punch(free, end);
    }

    private void punch(long from, long to) throws IOException {
        if (punches && from >= 0) {
            file.punchHole(from << clusterBits, (to - from) << clusterBits);
        }
    }

    /// Gives back clusters that nothing has ever referred to.
    void takeBack(long offset, int count) throws IOException {
        long cluster = offset >>> clusterBits;
        for (int i = 0; i < count; i++) {
            set(cluster + i, 0);
        }
        firstFree = Math.min(firstFree, cluster);
    }

    /// The count of `cluster`.
    long get(long cluster) throws IOException {
        long block = cluster / perBlock;
        if (block >= table.length || (table[(int) block] & -512) == 0) {
            return 0;
        }
        long offset = blockOffset((int) block);
        while (true) {
            synchronized (blocks) {
                Table found = blocks.find(offset);
                if (found != null) {
                    return get(found.buffer().bytes(), cluster % perBlock, order);
                }
            }
            blocks.load(offset);
        }
    }

    void set(long cluster, long value) throws IOException {
        provideBlock(cluster);
        long offset = blockOffset((int) (cluster / perBlock));
        while (true) {
            synchronized (blocks) {
                Table found = blocks.find(offset);
                if (found != null) {
                    set(found.buffer().bytes(), cluster % perBlock, order, value);
                    blocks.markDirty(found);
                    return;
                }
            }
            blocks.load(offset);
        }
    }

    /// Entry `index` of a block.
    ///
    /// @param order the entry's width is 2 to this power, in bits
    static long get(MemorySegment block, long index, int order) {
        return switch (order) {
            case 3 -> Byte.toUnsignedLong(block.get(JAVA_BYTE, index));
            case 4 -> Short.toUnsignedLong(block.get(Qcow2.BE16, index * Short.BYTES));
            case 5 -> Integer.toUnsignedLong(block.get(Qcow2.BE32, index * Integer.BYTES));
            case 6 -> block.get(Qcow2.BE64, index * Long.BYTES);
            default -> {
                int width = 1 << order;
                long bit = index << order;
                int octet = block.get(JAVA_BYTE, bit >>> 3);
                yield (octet >>> (bit & 7)) & ((1 << width) - 1);
            }
        };
    }

    static void set(MemorySegment block, long index, int order, long value) {
        switch (order) {
            case 3 -> block.set(JAVA_BYTE, index, (byte) value);
            case 4 -> block.set(Qcow2.BE16, index * Short.BYTES, (short) value);
            case 5 -> block.set(Qcow2.BE32, index * Integer.BYTES, (int) value);
            case 6 -> block.set(Qcow2.BE64, index * Long.BYTES, value);
            default -> {
                long bit = index << order;
                int shift = (int) (bit & 7);
                int mask = ((1 << (1 << order)) - 1) << shift;
                int octet = block.get(JAVA_BYTE, bit >>> 3);
                block.set(
                        JAVA_BYTE,
                        bit >>> 3,
                        (byte) ((octet & ~mask) | (((int) value << shift) & mask)));
            }
        }
    }

    private long blockOffset(int index) throws CorruptImageException {
        long offset = table[index] & -512;
        if ((offset & ((1L << clusterBits) - 1)) != 0
                || offset < 0
                || !map.fixed().allows(offset)) {
            throw new CorruptImageException(
                    name,
                    map.fixed().refcountTableOffset() + (long) index * Long.BYTES,
                    "a refcount block at 0x%x, expected a multiple of 0x%x that is none of the"
                                    .formatted(offset, 1L << clusterBits)
                            + " image's other tables");
        }
        return offset;
    }

    /// Makes sure that there is a block for `cluster`.
    private void provideBlock(long cluster) throws IOException {
        long block = cluster / perBlock;
        if (block >= table.length) {
            growTable(block);
        }
        if ((table[(int) block] & -512) == 0) {
            // it counts itself: none of the clusters it counts is in use
            long first = block * perBlock;
            long home = first;
            while (!map.fixed().allows(home << clusterBits)) {
                home++;
            }
            blocks.create(home << clusterBits);
            table[(int) block] = home << clusterBits;
            tableDirty = true;
            untouched = Math.max(untouched, home + 1);
            set(home, 1);
        }
    }

    boolean isDirty() {
        return tableDirty || blocks.hasDirty();
    }

    boolean crowded() {
        return blocks.crowded();
    }

    /// Writes what has changed: the blocks, and when they are on the disk the table.
    void write() throws IOException {
        blocks.write();
        if (tableDirty) {
            file.flush();
            ClusterMap.writeTable(file, map.fixed().refcountTableOffset(), table);
            tableDirty = false;
        }
    }

    /// Moves the table to a larger place behind all that it counts, with the blocks that count that
    /// place. The header points to it when all of it is on the disk.
    private void growTable(long block) throws IOException {
        long first = table.length * perBlock;
        int clusterSize = 1 << clusterBits;
        // half as large again; the new blocks count themselves and the table
        long tableClusters = Math.ceilDiv((block + 1) * Long.BYTES * 3 / 2, clusterSize);
        long newBlocks = 0;
        while (newBlocks * perBlock < newBlocks + tableClusters
                || tableClusters * clusterSize < (table.length + newBlocks) * Long.BYTES) {
            newBlocks++;
            tableClusters =
                    Math.max(
                            tableClusters,
                            Math.ceilDiv((table.length + newBlocks) * Long.BYTES, clusterSize));
        }
        long bytes = tableClusters * clusterSize;
        if (bytes > Qcow2.MAX_REFCOUNT_TABLE_BYTES) {
            throw new IOException(
                    "%s: the image is full: its refcount table would have %d bytes, more than %d"
                            .formatted(name, bytes, Qcow2.MAX_REFCOUNT_TABLE_BYTES));
        }
        write();
        file.flush();
        long used = newBlocks + bytes / clusterSize;
        Buffer buffer = Buffer.allocate(newBlocks * clusterSize + bytes);
        long[] grown = Arrays.copyOf(table, (int) (bytes / Long.BYTES));
        for (int i = 0; i < newBlocks; i++) {
            grown[table.length + i] = (first + i) << clusterBits;
        }
        for (long i = 0; i < used; i++) {
            MemorySegment counts = buffer.bytes().asSlice(i / perBlock * clusterSize, clusterSize);
            set(counts, i % perBlock, order, 1);
        }
        long tableAt = newBlocks * clusterSize;
        for (int i = 0; i < grown.length; i++) {
            buffer.bytes().set(Qcow2.BE64, tableAt + (long) i * Long.BYTES, grown[i]);
        }
        file.write(first << clusterBits, buffer.vector(), 0, buffer.bytes().byteSize());
        file.flush();
        moveTable(grown, (first << clusterBits) + tableAt, bytes);
        untouched = Math.max(untouched, first + used);
    }

    private void moveTable(long[] grown, long offset, long bytes) throws IOException {
        Buffer fields = Buffer.allocate(Long.BYTES + Integer.BYTES);
        fields.bytes().set(Qcow2.BE64, 0, offset);
        fields.bytes().set(Qcow2.BE32, Long.BYTES, (int) (bytes >>> clusterBits));
        file.write(Qcow2.REFCOUNT_TABLE_OFFSET, fields.vector(), 0, fields.bytes().byteSize());
        file.flush();
        FixedTables old = map.fixed();
        table = grown;
        map.fixed(old.withRefcountTable(offset, bytes));
        release(old.refcountTableOffset(), old.refcountTableBytes());
    }
}
