package org.kaval.devices.block;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;

/// Counts what refers to each cluster of a qcow2 image, compares that with its reference counts,
/// and mends these.
///
/// One thread; nobody else has the image open for writing.
public final class Qcow2Check {
    /// What is mended.
    public enum Repair {
        NOTHING,
        /// Clusters that are counted and not used become free.
        LEAKS,
        /// All reference counts are made anew, and the marks of tables that depend on them.
        ALL
    }

    private static final int SHOWN = 20;

    private final BlockFile file;
    private final Qcow2Header header;
    private final int clusterBits;
    private final int clusterSize;
    private final long fileClusters;
    private final References references = new References();
    private final List<String> problems = new ArrayList<>();
    private final long[] refcountTable;
    private final Progress progress;
    private long corruptions;
    private long wrongCounts; // those of the corruptions that new counts mend
    private long leaks;
    private long allocated;

    private Qcow2Check(BlockFile file, Qcow2Header header, Progress progress) throws IOException {
        this.file = file;
        this.header = header;
        this.progress = progress;
        clusterBits = header.clusterBits();
        clusterSize = header.clusterSize();
        fileClusters = Math.ceilDiv(file.size(), clusterSize);
        refcountTable =
                ClusterMap.readTable(
                        file,
                        header.refcountTableOffset(),
                        (header.refcountTableClusters() << clusterBits) / Long.BYTES);
    }

    /// Checks the image at `path`.
    ///
    /// @param repair what to mend; other than nothing, the image is opened for writing
    public static CheckResult check(Path path, Repair repair, Progress progress)
            throws IOException {
        ImageOptions options =
                repair == Repair.NOTHING ? ImageOptions.READ_ONLY : ImageOptions.WRITABLE;
        try (HostFile file = HostFile.open(path, options)) {
            return check(file, repair, progress);
        }
    }

    static CheckResult check(BlockFile file, Repair repair, Progress progress) throws IOException {
        Qcow2Header header = Qcow2Header.read(file);
        var check = new Qcow2Check(file, header, progress);
        check.countAll();
        check.compare();
        long repaired = 0;
        if (repair == Repair.ALL && check.corruptions + check.leaks > 0) {
            new Qcow2Repair(file, header, check.references).all(check.refcountTable);
            repaired = check.wrongCounts + check.leaks;
        } else if (repair != Repair.NOTHING && check.leaks > 0) {
            check.checkNoBitmaps();
            new Qcow2Repair(file, header, check.references).leaks(check.refcountTable);
            repaired = check.leaks;
        }
        if (repair == Repair.ALL && check.corruptions == check.wrongCounts) {
            long marks = Qcow2.DIRTY | Qcow2.CORRUPT;
            if ((header.incompatible() & marks) != 0) {
                long without = Qcow2Header.read(file).incompatible() & ~marks;
                Qcow2Opening.writeField(file, Qcow2.INCOMPATIBLE, without);
            }
        }
        return new CheckResult(
                check.corruptions,
                check.leaks,
                repaired,
                List.copyOf(check.problems),
                check.allocated,
                Math.ceilDiv(header.size(), check.clusterSize),
                check.references.end() << check.clusterBits);
    }

    private void checkNoBitmaps() throws IOException {
        if (header.extension(Qcow2.BITMAPS).isPresent()) {
            throw new IOException(
                    header.name()
                            + ": has bitmaps, whose clusters only QEMU knows: use qemu-img check");
        }
    }

    // --- what refers to what ---

    private void countAll() throws IOException {
        count(0, clusterSize, 0);
        count(header.l1Offset(), (long) header.l1Size() * Long.BYTES, Qcow2.L1_OFFSET);
        count(
                header.refcountTableOffset(),
                (long) header.refcountTableClusters() << clusterBits,
                Qcow2.REFCOUNT_TABLE_OFFSET);
        for (int i = 0; i < refcountTable.length; i++) {
            long at = header.refcountTableOffset() + (long) i * Long.BYTES;
            if (refcountTable[i] != 0 && isCluster(refcountTable[i], at, "a refcount block")) {
                references.add(refcountTable[i] >>> clusterBits);
            }
        }
        walk(ClusterMap.readTable(file, header.l1Offset(), header.l1Size()), header.l1Offset());
        long active = allocated;
        Qcow2Snapshots.Found found = Qcow2Snapshots.read(file, header);
        count(header.snapshotsOffset(), found.tableBytes(), Qcow2.SNAPSHOTS_OFFSET);
        for (Qcow2Snapshots.Snapshot snapshot : found.snapshots()) {
            count(snapshot.l1Offset(), (long) snapshot.l1Size() * Long.BYTES, 0);
            walk(
                    ClusterMap.readTable(file, snapshot.l1Offset(), snapshot.l1Size()),
                    snapshot.l1Offset());
        }
        allocated = active;
    }

    /// Counts a range that `at` refers to.
    private void count(long offset, long length, long at) {
        long end = Math.ceilDiv(offset + length, clusterSize);
        if (end > fileClusters) {
            corrupt(at, "0x%x+0x%x, expected within the file".formatted(offset, length));
            return;
        }
        for (long cluster = offset >>> clusterBits; length > 0 && cluster < end; cluster++) {
            references.add(cluster);
        }
    }

    private boolean isCluster(long offset, long at, String what) {
        if (offset < 0
                || (offset & (clusterSize - 1)) != 0
                || offset >>> clusterBits >= fileClusters) {
            corrupt(
                    at,
                    "%s at 0x%x, expected a multiple of 0x%x within the file"
                            .formatted(what, offset, clusterSize));
            return false;
        }
        return true;
    }

    private void walk(long[] l1, long l1Offset) throws IOException {
        var seen = new HashSet<Long>();
        for (int i = 0; i < l1.length; i++) {
            progress.at(i, l1.length);
            long offset = l1[i] & Qcow2.OFFSET_MASK;
            long at = l1Offset + (long) i * Long.BYTES;
            if (offset == 0 || !isCluster(offset, at, "an L2 table")) {
                continue;
            }
            references.add(offset >>> clusterBits);
            if (seen.add(offset)) {
                walkTable(offset);
            } else {
                corrupt(at, "the L2 table at 0x%x again, expected another".formatted(offset));
            }
        }
        progress.at(l1.length, l1.length);
    }

    private void walkTable(long offset) throws IOException {
        long[] entries = ClusterMap.readTable(file, offset, clusterSize / Long.BYTES);
        int step = header.l2EntrySize() / Long.BYTES;
        for (int i = 0; i < entries.length; i += step) {
            long entry = entries[i];
            long at = offset + (long) i * Long.BYTES;
            if ((entry & Qcow2.COMPRESSED) != 0) {
                allocated++;
                long data = CompressedClusters.offset(entry, clusterBits);
                count(data, CompressedClusters.length(entry, clusterBits), at);
            } else if ((entry & Qcow2.OFFSET_MASK) != 0
                    && isCluster(entry & Qcow2.OFFSET_MASK, at, "a cluster of the disk")) {
                allocated++;
                references.add((entry & Qcow2.OFFSET_MASK) >>> clusterBits);
            }
        }
    }

    // --- what is counted ---

    private void compare() throws IOException {
        long perBlock = header.refcountsPerBlock();
        for (int i = 0; i < refcountTable.length; i++) {
            compareBlock(i * perBlock, refcountTable[i]);
        }
        for (long cluster = refcountTable.length * perBlock;
                cluster < references.end();
                cluster++) {
            compare(cluster, 0);
        }
        compareMarks();
    }

    private void compareBlock(long first, long offset) throws IOException {
        long perBlock = header.refcountsPerBlock();
        boolean there =
                offset > 0
                        && (offset & (clusterSize - 1)) == 0
                        && offset >>> clusterBits < fileClusters;
        if (!there) {
            for (long i = first; i < Math.min(first + perBlock, references.end()); i++) {
                compare(i, 0);
            }
            return;
        }
        Buffer block = Buffer.allocate(clusterSize);
        file.read(offset, block.vector(), 0, clusterSize);
        for (long i = 0; i < perBlock; i++) {
            compare(first + i, Refcounts.get(block.bytes(), i, header.refcountOrder()));
        }
    }

    private void compare(long cluster, long counted) {
        long used = references.count(cluster);
        if (Long.compareUnsigned(counted, used) > 0) {
            leaks++;
            problem(
                    cluster << clusterBits,
                    "a cluster that is counted %s times, expected %d"
                            .formatted(Long.toUnsignedString(counted), used));
        } else if (counted != used) {
            corruptions++;
            wrongCounts++;
            problem(
                    cluster << clusterBits,
                    "a cluster that is counted %d times, expected %d".formatted(counted, used));
        }
    }

    /// The mark "copied" says that a cluster has one reference only.
    private void compareMarks() throws IOException {
        Qcow2Marks.visit(
                file,
                header,
                references,
                (at, _, _) -> {
                    corruptions++;
                    wrongCounts++;
                    problem(at, "a wrong mark that its cluster has one reference, expected other");
                });
    }

    private void corrupt(long at, String problem) {
        corruptions++;
        problem(at, problem);
    }

    private void problem(long at, String problem) {
        if (problems.size() < SHOWN) {
            problems.add("%s: offset 0x%x: %s".formatted(header.name(), at, problem));
        }
    }
}
