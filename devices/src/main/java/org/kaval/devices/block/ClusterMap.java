package org.kaval.devices.block;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Where the clusters of a disk are in the file of a qcow2 image: the L1 table, which is in memory,
/// and the L2 tables, of which some are.
///
/// {@link #lookup} and {@link #done} may be called by any thread and hold a monitor for a moment,
/// with input only if a table is not in memory. All that changes the map is called under the lock
/// of the image.
final class ClusterMap {
    private final BlockFile file;
    private final String name;
    private final int clusterBits;
    private final int clusterSize;
    private final boolean extended;
    private final int entriesPerTable;
    private volatile FixedTables fixed;

    /// Its monitor guards all of the below.
    private final TableCache tables;

    private long[] l1;
    private boolean l1Dirty;
    private int generation;
    private final int[] readers = new int[2];
    private final List<Run> runs = new ArrayList<>();

    ClusterMap(BlockFile file, Qcow2Header header, FixedTables fixed) throws IOException {
        this.file = file;
        this.fixed = fixed;
        name = header.name();
        clusterBits = header.clusterBits();
        clusterSize = header.clusterSize();
        extended = header.has(Qcow2.EXTENDED_L2);
        entriesPerTable = clusterSize / header.l2EntrySize();
        tables = new TableCache(file, clusterSize);
        l1 = readTable(file, header.l1Offset(), header.l1Size());
    }

    /// Reads a table of entries of 8 bytes.
    static long[] readTable(BlockFile file, long offset, int count) throws IOException {
        var entries = new long[count];
        if (count > 0) {
            Buffer buffer = Buffer.allocate((long) count * Long.BYTES);
            file.read(offset, buffer.vector(), 0, buffer.bytes().byteSize());
            for (int i = 0; i < count; i++) {
                entries[i] = buffer.bytes().get(Qcow2.BE64, (long) i * Long.BYTES);
            }
        }
        return entries;
    }

    int entriesPerTable() {
        return entriesPerTable;
    }

    int l1Size() {
        synchronized (tables) {
            return l1.length;
        }
    }

    FixedTables fixed() {
        return fixed;
    }

    void fixed(FixedTables value) {
        fixed = value;
    }

    // --- any thread ---

    /// What is at `offset` of the disk, for at most `limit` bytes. What it says stays so until
    /// {@link #done} is called with the result: clusters that are freed meanwhile are not used for
    /// anything else.
    Run lookup(long offset, long limit) throws IOException {
        while (true) {
            Run run = find(offset, limit);
            if (run != null) {
                return run;
            }
            long tableOffset;
            synchronized (tables) {
                tableOffset = tableOffset(l1Index(offset));
            }
            if (tableOffset != 0) { // else it has just been taken away
                tables.load(tableOffset);
            }
        }
    }

    /// {@link #lookup} in the tables that are in memory; null if the one that it takes is not.
    @Nullable Run find(long offset, long limit) throws CorruptImageException {
        int l1Index = l1Index(offset);
        int index = (int) ((offset >>> clusterBits) % entriesPerTable);
        synchronized (tables) {
            long tableOffset = tableOffset(l1Index);
            Table table = tableOffset == 0 ? null : tables.find(tableOffset);
            if (tableOffset != 0 && table == null) {
                return null;
            }
            Run run = runs.isEmpty() ? new Run() : runs.removeLast();
            boolean ok = false;
            try {
                fill(run, table, index, offset & (clusterSize - 1), limit);
                run.writable &= (l1[l1Index] & Qcow2.COPIED) != 0;
                ok = true;
            } finally {
                if (!ok) {
                    runs.add(run);
                }
            }
            run.generation = generation;
            readers[generation]++;
            return run;
        }
    }

    private int l1Index(long offset) {
        return (int) ((offset >>> clusterBits) / entriesPerTable);
    }

    /// Ends what {@link #lookup} has begun.
    void done(Run run) {
        synchronized (tables) {
            runs.add(run);
            if (--readers[run.generation] == 0) {
                tables.notifyAll();
            }
        }
    }

    private void fill(Run run, @Nullable Table table, int index, long skip, long limit)
            throws CorruptImageException {
        if (table == null) {
            run.kind = Run.Kind.ABSENT;
            run.writable = false;
            run.entry = 0;
            run.length = Math.min(limit, ((long) (entriesPerTable - index) << clusterBits) - skip);
            return;
        }
        if (extended) {
            fillExtended(run, table, index, skip, limit);
            return;
        }
        long entry = table.entry(index);
        run.entry = entry;
        run.kind = kind(entry);
        run.writable = run.kind == Run.Kind.DATA && (entry & Qcow2.COPIED) != 0;
        run.host = run.kind == Run.Kind.DATA ? checked(table, index, entry) + skip : 0;
        long length = clusterSize - skip;
        for (int i = index + 1; length < limit && i < entriesPerTable; i++) {
            long next = table.entry(i);
            if (run.kind == Run.Kind.COMPRESSED
                    || kind(next) != run.kind
                    || (run.kind == Run.Kind.DATA
                            && next != entry + ((long) (i - index) << clusterBits))) {
                break;
            }
            length += clusterSize;
        }
        run.length = Math.min(limit, length);
    }

    /// Of entries with 32 parts of a cluster each.
    private void fillExtended(Run run, Table table, int index, long skip, long limit)
            throws CorruptImageException {
        long entry = table.entry(2L * index);
        long bitmap = table.entry(2L * index + 1);
        int partBits = clusterBits - 5; // 2^5 parts
        int first = (int) (skip >>> partBits);
        run.entry = entry;
        run.writable = false;
        if ((entry & Qcow2.COMPRESSED) != 0) {
            run.kind = Run.Kind.COMPRESSED;
            run.length = Math.min(limit, clusterSize - skip);
            return;
        }
        int state = state(table, index, bitmap, first);
        run.kind =
                switch (state) {
                    case 0 -> Run.Kind.ABSENT;
                    case 1 -> Run.Kind.DATA;
                    default -> Run.Kind.ZERO;
                };
        run.host = run.kind == Run.Kind.DATA ? checked(table, 2 * index, entry) + skip : 0;
        int part = first + 1;
        while (part < Qcow2.SUBCLUSTERS && state(table, index, bitmap, part) == state) {
            part++;
        }
        run.length = Math.min(limit, ((long) part << partBits) - skip);
    }

    /// 0 absent, 1 data, 2 zero.
    private int state(Table table, int index, long bitmap, int part) throws CorruptImageException {
        int allocated = (int) (bitmap >>> part) & 1;
        int zero = (int) (bitmap >>> (Qcow2.SUBCLUSTERS + part)) & 1;
        if ((allocated & zero) != 0) {
            throw new CorruptImageException(
                    name,
                    table.offset + 16L * index + 8,
                    "part %d of a cluster is allocated and zero, expected one of them"
                            .formatted(part));
        }
        return allocated + 2 * zero;
    }

    private static Run.Kind kind(long entry) {
        if ((entry & Qcow2.COMPRESSED) != 0) {
            return Run.Kind.COMPRESSED;
        }
        if ((entry & Qcow2.ZERO) != 0) {
            return Run.Kind.ZERO;
        }
        return (entry & Qcow2.OFFSET_MASK) == 0 ? Run.Kind.ABSENT : Run.Kind.DATA;
    }

    private long checked(Table table, int index, long entry) throws CorruptImageException {
        long host = entry & Qcow2.OFFSET_MASK;
        if ((host & (clusterSize - 1)) != 0 || !fixed.allows(host)) {
            throw new CorruptImageException(
                    name,
                    table.offset + (long) index * Long.BYTES,
                    "a cluster of the disk at 0x%x, expected a multiple of 0x%x that is none of the"
                                    .formatted(host, clusterSize)
                            + " image's tables");
        }
        return host;
    }

    private long tableOffset(int l1Index) throws CorruptImageException {
        long offset = l1[l1Index] & Qcow2.OFFSET_MASK;
        if (offset != 0 && ((offset & (clusterSize - 1)) != 0 || !fixed.allows(offset))) {
            throw new CorruptImageException(
                    name,
                    fixed.l1Offset() + (long) l1Index * Long.BYTES,
                    "an L2 table at 0x%x, expected a multiple of 0x%x that is none of the image's"
                                    .formatted(offset, clusterSize)
                            + " other tables");
        }
        return offset;
    }

    // --- under the lock of the image ---

    /// Returns when all that has been looked up before this call is done.
    void awaitReaders() {
        synchronized (tables) {
            int before = generation;
            generation = 1 - generation;
            while (readers[before] > 0) {
                Waiting.on(tables);
            }
        }
    }

    /// Whether there is a table for `cluster` of the disk.
    boolean hasTable(long cluster) {
        synchronized (tables) {
            return (l1[(int) (cluster / entriesPerTable)] & Qcow2.OFFSET_MASK) != 0;
        }
    }

    /// The entry of `cluster` of the disk; 0 if there is no table for it.
    long entry(long cluster) throws IOException {
        int l1Index = (int) (cluster / entriesPerTable);
        while (true) {
            long offset;
            synchronized (tables) {
                offset = tableOffset(l1Index);
                if (offset == 0) {
                    return 0;
                }
                Table table = tables.find(offset);
                if (table != null) {
                    long entry = table.entry(cluster % entriesPerTable);
                    if (kind(entry) == Run.Kind.DATA) {
                        checked(table, (int) (cluster % entriesPerTable), entry);
                    }
                    return entry;
                }
            }
            tables.load(offset);
        }
    }

    /// Sets the entry of `cluster`, whose table {@link #makeWritable} has made writable.
    void entry(long cluster, long value) throws IOException {
        long offset;
        synchronized (tables) {
            offset = tableOffset((int) (cluster / entriesPerTable));
        }
        while (true) {
            synchronized (tables) {
                Table table = tables.find(offset);
                if (table != null) {
                    tables.set(table, cluster % entriesPerTable, value);
                    return;
                }
            }
            tables.load(offset);
        }
    }

    /// Makes sure that the disk alone, and no snapshot, has the table of `cluster`.
    void makeWritable(long cluster, Refcounts refcounts, Condemned condemned) throws IOException {
        int l1Index = (int) (cluster / entriesPerTable);
        long old;
        synchronized (tables) {
            old = tableOffset(l1Index);
            if (old != 0 && (l1[l1Index] & Qcow2.COPIED) != 0) {
                return;
            }
        }
        long made = refcounts.allocate(1);
        if (old == 0) {
            tables.create(made);
        } else {
            tables.copy(old, made);
            condemned.add(old, clusterSize);
        }
        synchronized (tables) {
            l1[l1Index] = made | Qcow2.COPIED;
            l1Dirty = true;
        }
    }

    boolean isDirty() {
        synchronized (tables) {
            return l1Dirty || tables.hasDirty();
        }
    }

    /// Whether {@link #write} is due.
    boolean crowded() {
        return tables.crowded();
    }

    /// Writes what has changed: the L2 tables, and when they are on the disk the L1 table, which
    /// points to them.
    void write() throws IOException {
        tables.write();
        boolean l1Too;
        synchronized (tables) {
            l1Too = l1Dirty;
        }
        if (l1Too) {
            file.flush();
            writeL1(fixed.l1Offset());
            synchronized (tables) {
                l1Dirty = false;
            }
        }
    }

    /// Writes the L1 table to `offset`.
    void writeL1(long offset) throws IOException {
        long[] entries;
        synchronized (tables) {
            entries = l1.clone();
        }
        writeTable(file, offset, entries);
    }

    static void writeTable(BlockFile file, long offset, long[] entries) throws IOException {
        if (entries.length > 0) {
            Buffer buffer = Buffer.allocate((long) entries.length * Long.BYTES);
            for (int i = 0; i < entries.length; i++) {
                buffer.bytes().set(Qcow2.BE64, (long) i * Long.BYTES, entries[i]);
            }
            file.write(offset, buffer.vector(), 0, buffer.bytes().byteSize());
        }
    }

    /// Gives the L1 table `count` entries; new ones are 0.
    void resizeL1(int count) {
        synchronized (tables) {
            l1 = Arrays.copyOf(l1, count);
        }
    }
}
