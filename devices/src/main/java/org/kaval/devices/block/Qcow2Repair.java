package org.kaval.devices.block;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/// Mends the reference counts of an image by what has been counted.
final class Qcow2Repair {
    private final BlockFile file;
    private final Qcow2Header header;
    private final References references;
    private final int clusterBits;
    private final int clusterSize;
    private final int order;
    private final long perBlock;

    Qcow2Repair(BlockFile file, Qcow2Header header, References references) {
        this.file = file;
        this.header = header;
        this.references = references;
        clusterBits = header.clusterBits();
        clusterSize = header.clusterSize();
        order = header.refcountOrder();
        perBlock = header.refcountsPerBlock();
    }

    /// Lowers counts that are too high.
    void leaks(long[] table) throws IOException {
        Buffer block = Buffer.allocate(clusterSize);
        for (int i = 0; i < table.length; i++) {
            long offset = table[i];
            if (!isBlock(offset)) {
                continue;
            }
            file.read(offset, block.vector(), 0, clusterSize);
            if (lower(block.bytes(), i * perBlock)) {
                file.write(offset, block.vector(), 0, clusterSize);
            }
        }
        file.flush();
    }

    private boolean lower(MemorySegment block, long first) {
        boolean changed = false;
        for (long i = 0; i < perBlock; i++) {
            long used = references.count(first + i);
            if (Long.compareUnsigned(Refcounts.get(block, i, order), used) > 0) {
                Refcounts.set(block, i, order, used);
                changed = true;
            }
        }
        return changed;
    }

    /// Makes all counts anew behind the end of what is in use, and then the header point to them;
    /// what was there before is free then. Then mends the marks that depend on counts.
    void all(long[] oldTable) throws IOException {
        long end = Math.max(references.end(), 1);
        forget(oldTable);
        long blocks = 1;
        long tableClusters = 1;
        while (blocks * perBlock < end + blocks + tableClusters) {
            blocks++;
            tableClusters = Math.ceilDiv(blocks * Long.BYTES, clusterSize);
        }
        if (tableClusters * clusterSize > Qcow2.MAX_REFCOUNT_TABLE_BYTES) {
            throw new IOException(
                    "%s: a refcount table of %d bytes would be needed, more than %d"
                            .formatted(
                                    header.name(),
                                    tableClusters * clusterSize,
                                    Qcow2.MAX_REFCOUNT_TABLE_BYTES));
        }
        long tableOffset = (end + blocks) << clusterBits;
        long used = end + blocks + tableClusters;
        long[] table = new long[(int) (tableClusters * clusterSize / Long.BYTES)];
        Buffer block = Buffer.allocate(clusterSize);
        for (int i = 0; i < blocks; i++) {
            table[i] = (end + i) << clusterBits;
            fill(block.bytes(), i * perBlock, end, used);
            file.write(table[i], block.vector(), 0, clusterSize);
        }
        ClusterMap.writeTable(file, tableOffset, table);
        file.flush();
        Buffer fields = Buffer.allocate(Long.BYTES + Integer.BYTES);
        fields.bytes().set(Qcow2.BE64, 0, tableOffset);
        fields.bytes().set(Qcow2.BE32, Long.BYTES, (int) tableClusters);
        file.write(Qcow2.REFCOUNT_TABLE_OFFSET, fields.vector(), 0, fields.bytes().byteSize());
        file.flush();
        mendMarks();
    }

    /// The old counts do not count themselves any more.
    private void forget(long[] oldTable) throws IOException {
        long first = header.refcountTableOffset() >>> clusterBits;
        for (int i = 0; i < header.refcountTableClusters(); i++) {
            references.remove(first + i);
        }
        for (long offset : oldTable) {
            if (isBlock(offset)) {
                references.remove(offset >>> clusterBits);
            }
        }
    }

    private boolean isBlock(long offset) throws IOException {
        return offset > 0
                && offset % clusterSize == 0
                && offset >>> clusterBits < Math.ceilDiv(file.size(), clusterSize);
    }

    private void fill(MemorySegment block, long first, long end, long used) throws IOException {
        block.fill((byte) 0);
        for (long i = 0; i < perBlock; i++) {
            long cluster = first + i;
            long count = cluster < end ? references.count(cluster) : cluster < used ? 1 : 0;
            if (order < 6 && count >>> (1 << order) != 0) {
                throw new CorruptImageException(
                        header.name(),
                        cluster << clusterBits,
                        "a cluster with %d references, expected at most what %d bits can count"
                                .formatted(count, 1 << order));
            }
            Refcounts.set(block, i, order, count);
        }
    }

    private void mendMarks() throws IOException {
        Buffer entry = Buffer.allocate(Long.BYTES);
        Qcow2Marks.visit(
                file,
                header,
                references,
                (at, _, right) -> {
                    entry.bytes().set(Qcow2.BE64, 0, right);
                    file.write(at, entry.vector(), 0, Long.BYTES);
                });
        file.flush();
    }
}
