package org.kaval.devices.block;

import java.io.IOException;
import org.kaval.linux.IoVector;

/// Changes a qcow2 image, in such an order that what is in the file is right whenever it ends:
///
/// | what | is on the disk before |
/// |---|---|
/// | data, reference counts that grow | an L2 table refers to them |
/// | a refcount block | the refcount table refers to it |
/// | an L2 table | the L1 table refers to it |
/// | a new L1 or refcount table | the header refers to it |
/// | tables that do not refer to a cluster any more | its reference count becomes less, and it is used for something else |
///
/// So a crash at any moment loses what was not flushed, and may leave clusters that are counted and
/// not used; nothing worse. Any thread, one at a time; requests that change no table do not come
/// here.
final class Qcow2Writer {
    private static final int MOST_CLUSTERS = 256;

    private final BlockFile file;
    private final Qcow2Header header;
    private final ClusterMap map;
    private final Refcounts refcounts;
    private final Qcow2Reader reader;
    private final Condemned condemned = new Condemned();
    private final CompressedPlaces compressed;
    private final int clusterBits;
    private final int clusterSize;
    private final Buffer head;
    private final Buffer tail;
    private final IoVector joined = new IoVector(IoVector.MAX_COUNT);

    Qcow2Writer(
            BlockFile file,
            Qcow2Header header,
            ClusterMap map,
            Refcounts refcounts,
            Qcow2Reader reader) {
        this.file = file;
        this.header = header;
        this.map = map;
        this.refcounts = refcounts;
        this.reader = reader;
        compressed = new CompressedPlaces(refcounts, header);
        clusterBits = header.clusterBits();
        clusterSize = header.clusterSize();
        head = Buffer.allocate(clusterSize);
        tail = Buffer.allocate(clusterSize);
    }

    // --- data ---

    /// Writes to clusters that cannot be written where they are.
    ///
    /// @return how many bytes; 0 if the cluster at `offset` can be written where it is by now
    synchronized long write(long offset, IoVector source, long from, long length)
            throws IOException {
        relieve();
        long cluster = offset >>> clusterBits;
        map.makeWritable(cluster, refcounts, condemned);
        long entry = map.entry(cluster);
        if (isInPlace(entry)) {
            return 0;
        }
        boolean reuse = isReusable(entry);
        int count = reuse ? 1 : count(cluster, (offset + length - 1) >>> clusterBits);
        long host = reuse ? entry & Qcow2.OFFSET_MASK : refcounts.allocateUpTo(count);
        count = reuse ? 1 : refcounts.lastCount();
        boolean zeroes = !reuse && refcounts.lastWasUntouched();
        long end = Math.min(offset + length, (cluster + count) << clusterBits);
        boolean written = false;
        try {
            writeClusters(host, zeroes, offset, source, from, end - offset);
            written = true;
        } finally {
            if (!written && !reuse) {
                refcounts.takeBack(host, count);
            }
        }
        for (int i = 0; i < count; i++) {
            long old = map.entry(cluster + i);
            map.entry(cluster + i, host + ((long) i << clusterBits) | Qcow2.COPIED);
            if (!reuse) {
                condemn(old);
            }
        }
        return end - offset;
    }

    /// Writes a cluster that the image has nothing for yet, compressed.
    ///
    /// @param length of the compressed data, less than a cluster
    synchronized void writeCompressed(long offset, Buffer data, int length) throws IOException {
        relieve();
        long cluster = offset >>> clusterBits;
        map.makeWritable(cluster, refcounts, condemned);
        long old = map.entry(cluster);
        long host = compressed.take(length);
        file.write(host, data.vector(), 0, length);
        map.entry(cluster, CompressedClusters.entry(host, length, clusterBits));
        condemn(old);
    }

    /// How many clusters from `first` on, which needs one, need a new place.
    private int count(long first, long last) throws IOException {
        long limit =
                Math.min(
                        Math.min(last, first + MOST_CLUSTERS - 1),
                        (first / map.entriesPerTable() + 1) * map.entriesPerTable() - 1);
        long cluster = first + 1;
        while (cluster <= limit) {
            long entry = map.entry(cluster);
            if (isInPlace(entry) || isReusable(entry)) {
                break;
            }
            cluster++;
        }
        return (int) (cluster - first);
    }

    /// An entry that is marked as in use by the disk alone and has no place is one without a place.
    private static boolean isInPlace(long entry) {
        return (entry & Qcow2.COPIED) != 0
                && (entry & (Qcow2.COMPRESSED | Qcow2.ZERO)) == 0
                && (entry & Qcow2.OFFSET_MASK) != 0;
    }

    /// Zeroes that have a place of their own.
    private static boolean isReusable(long entry) {
        return (entry & Qcow2.COPIED) != 0
                && (entry & Qcow2.COMPRESSED) == 0
                && (entry & Qcow2.ZERO) != 0
                && (entry & Qcow2.OFFSET_MASK) != 0;
    }

    /// Writes whole clusters to `host`: the source, and around it what the disk has there.
    ///
    /// @param zeroes whether there are zeroes at `host`
    private void writeClusters(
            long host, boolean zeroes, long offset, IoVector source, long from, long length)
            throws IOException {
        long headLength = offset & (clusterSize - 1);
        long end = offset + length;
        long tailLength = -end & (clusterSize - 1);
        boolean writeHead = fill(head, offset - headLength, headLength, zeroes);
        boolean writeTail = fill(tail, end, tailLength, zeroes);
        if (!writeHead && !writeTail) {
            file.write(host + headLength, source, from, length);
        } else if (source.count() + 2 <= joined.capacity()) {
            joined.clear();
            joined.add(head.vector(), 0, writeHead ? headLength : 0);
            joined.add(source, from, length);
            joined.add(tail.vector(), 0, writeTail ? tailLength : 0);
            file.write(host + (writeHead ? 0 : headLength), joined, 0, joined.byteSize());
        } else {
            file.write(host, head.vector(), 0, writeHead ? headLength : 0);
            file.write(host + headLength, source, from, length);
            file.write(host + headLength + length, tail.vector(), 0, writeTail ? tailLength : 0);
        }
    }

    /// Reads what the disk has at `offset`.
    ///
    /// @return false if it need not be written
    private boolean fill(Buffer buffer, long offset, long length, boolean zeroes)
            throws IOException {
        if (length == 0 || (zeroes && reader.isZero(offset, length))) {
            return false;
        }
        reader.read(offset, buffer.vector(), 0, length);
        return true;
    }

    // --- whole clusters without data ---

    /// Drops the clusters `first` to `end`: they read as zeroes then, or stay what they are where
    /// the format has no way to say that.
    synchronized void discard(long first, long end) throws IOException {
        for (long cluster = first; cluster < end; cluster++) {
            if (!map.hasTable(cluster)) {
                cluster = lastOfTable(cluster);
                continue;
            }
            long entry = map.entry(cluster);
            boolean shadows = cluster << clusterBits < reader.sizeBelow();
            if (isAllocated(entry) && (!shadows || header.version() >= 3)) {
                replace(cluster, entry, shadows ? Qcow2.ZERO : 0);
            }
        }
    }

    /// Makes the clusters `first` to `end` zeroes.
    ///
    /// @param mayUnmap whether they may lose their places
    synchronized void zero(long first, long end, boolean mayUnmap) throws IOException {
        for (long cluster = first; cluster < end; cluster++) {
            boolean shadows = cluster << clusterBits < reader.sizeBelow();
            if (!map.hasTable(cluster) && !shadows) {
                cluster = lastOfTable(cluster);
                continue;
            }
            long entry = map.entry(cluster);
            boolean absent = entry == 0;
            if (((entry & Qcow2.ZERO) != 0 && (entry & Qcow2.COMPRESSED) == 0)
                    || (absent && !shadows)) {
                continue;
            }
            if (isInPlace(entry) && !mayUnmap) {
                relieve();
                map.makeWritable(cluster, refcounts, condemned);
                map.entry(cluster, entry | Qcow2.ZERO);
            } else {
                replace(cluster, entry, Qcow2.ZERO);
            }
        }
    }

    /// Empties the clusters `first` to `end`, so that what is below shows.
    synchronized void clear(long first, long end) throws IOException {
        for (long cluster = first; cluster < end; cluster++) {
            if (!map.hasTable(cluster)) {
                cluster = lastOfTable(cluster);
                continue;
            }
            long entry = map.entry(cluster);
            if (entry != 0) {
                replace(cluster, entry, 0);
            }
        }
    }

    private long lastOfTable(long cluster) {
        return (cluster / map.entriesPerTable() + 1) * map.entriesPerTable() - 1;
    }

    private static boolean isAllocated(long entry) {
        return (entry & (Qcow2.OFFSET_MASK | Qcow2.COMPRESSED)) != 0;
    }

    private void replace(long cluster, long old, long entry) throws IOException {
        relieve();
        map.makeWritable(cluster, refcounts, condemned);
        map.entry(cluster, entry);
        condemn(old);
    }

    private void condemn(long entry) {
        if ((entry & Qcow2.COMPRESSED) != 0) {
            long offset = CompressedClusters.offset(entry, clusterBits);
            condemned.add(offset, CompressedClusters.length(entry, clusterBits));
        } else if ((entry & Qcow2.OFFSET_MASK) != 0) {
            condemned.add(entry & Qcow2.OFFSET_MASK, clusterSize);
        }
    }

    // --- tables ---

    /// Writes tables when too many are waiting to be.
    private void relieve() throws IOException {
        if (map.crowded() || refcounts.crowded() || condemned.crowded()) {
            writeTables();
        }
    }

    /// Returns when all tables, and all data that were written before, are on the disk.
    synchronized void flush() throws IOException {
        if (!writeTables()) {
            file.flush();
        }
    }

    /// @return false if there was nothing to write, and nothing was flushed
    private boolean writeTables() throws IOException {
        if (!map.isDirty() && !refcounts.isDirty()) {
            return false;
        }
        refcounts.write();
        file.flush(); // the data too
        if (map.isDirty()) {
            map.write();
            file.flush();
        }
        if (!condemned.isEmpty()) {
            map.awaitReaders();
            condemned.release(refcounts);
        }
        return true;
    }

    /// Writes all tables, those too that have changed because others were written.
    synchronized void finish() throws IOException {
        while (writeTables()) {
            // what has been freed is counted in tables that are dirty now
        }
    }

    // --- the size ---

    /// Makes the tables large enough for a disk of `bytes`.
    synchronized void provideTables(long bytes) throws IOException {
        long needed = Math.ceilDiv(bytes, header.bytesPerL2Table());
        if (needed * Long.BYTES > Qcow2.MAX_L1_BYTES) {
            throw new IOException(
                    "%s: %d bytes are too many for clusters of %d bytes, at most %d are possible"
                            .formatted(
                                    header.name(),
                                    bytes,
                                    clusterSize,
                                    header.bytesPerL2Table() * (Qcow2.MAX_L1_BYTES / Long.BYTES)));
        }
        if (needed <= map.l1Size()) {
            return;
        }
        long tableBytes = needed * Long.BYTES;
        int clusters = (int) Math.ceilDiv(tableBytes, clusterSize);
        long offset = refcounts.allocate(clusters);
        FixedTables old = map.fixed();
        finish();
        map.resizeL1((int) needed);
        map.fixed(old.withL1(offset, tableBytes));
        map.writeL1(offset);
        file.flush();
        Buffer fields = Buffer.allocate(Integer.BYTES + Long.BYTES);
        fields.bytes().set(Qcow2.BE32, 0, (int) needed);
        fields.bytes().set(Qcow2.BE64, Integer.BYTES, offset);
        file.write(Qcow2.L1_SIZE, fields.vector(), 0, fields.bytes().byteSize());
        file.flush();
        if (old.l1Bytes() > 0) {
            refcounts.release(old.l1Offset(), old.l1Bytes());
        }
    }

    synchronized void writeSize(long bytes) throws IOException {
        finish();
        Buffer field = Buffer.allocate(Long.BYTES);
        field.bytes().set(Qcow2.BE64, 0, bytes);
        file.write(Qcow2.SIZE, field.vector(), 0, Long.BYTES);
        file.flush();
    }
}
