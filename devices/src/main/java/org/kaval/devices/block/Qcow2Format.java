package org.kaval.devices.block;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import org.jspecify.annotations.Nullable;

/// What a new qcow2 image is like.
///
/// @param size of the disk in bytes
/// @param version 2 or 3
/// @param clusterBits a cluster has 2 to this power bytes: 9 to 21
/// @param refcountOrder a reference count has 2 to this power bits: 0 to 6, of version 2 always 4
/// @param lazyRefcounts whether reference counts may be wrong after a crash; that is for other
///   programs, Kaval's never are
/// @param zstd whether compressed clusters are to be of zstd
/// @param backingFile what it lies over, and
/// @param backingFormat that one's format: either both or none
public record Qcow2Format(
        long size,
        int version,
        int clusterBits,
        int refcountOrder,
        boolean lazyRefcounts,
        boolean zstd,
        @Nullable String backingFile,
        @Nullable ImageFormat backingFormat) {
    private static final int DEFAULT_CLUSTER_BITS = 16;
    private static final int DEFAULT_REFCOUNT_ORDER = 4;

    public Qcow2Format {
        require(size >= 0, "a disk of " + size + " bytes");
        require(version == 2 || version == 3, "version " + version);
        require(
                clusterBits >= Qcow2.MIN_CLUSTER_BITS && clusterBits <= Qcow2.MAX_CLUSTER_BITS,
                "clusters of 2^%d bytes, expected 2^9 to 2^21".formatted(clusterBits));
        require(
                refcountOrder >= 0 && refcountOrder <= 6,
                "reference counts of 2^%d bits, expected 2^0 to 2^6".formatted(refcountOrder));
        require(
                version == 3
                        || (refcountOrder == DEFAULT_REFCOUNT_ORDER && !lazyRefcounts && !zstd),
                "version 2 has reference counts of 16 bits and zlib only");
        require(
                (backingFile == null) == (backingFormat == null),
                "a backing file and its format go together");
        require(
                l1Entries(size, clusterBits) * Long.BYTES <= Qcow2.MAX_L1_BYTES,
                "%d bytes are too many for clusters of %d bytes".formatted(size, 1 << clusterBits));
    }

    private static void require(boolean condition, String problem) {
        if (!condition) {
            throw new IllegalArgumentException(problem);
        }
    }

    /// Version 3 with clusters of 64 KiB.
    public static Qcow2Format of(long size) {
        return new Qcow2Format(
                size, 3, DEFAULT_CLUSTER_BITS, DEFAULT_REFCOUNT_ORDER, false, false, null, null);
    }

    public Qcow2Format over(String file, ImageFormat format) {
        return new Qcow2Format(
                size, version, clusterBits, refcountOrder, lazyRefcounts, zstd, file, format);
    }

    public Qcow2Format withClusterBits(int bits) {
        return new Qcow2Format(
                size,
                version,
                bits,
                refcountOrder,
                lazyRefcounts,
                zstd,
                backingFile,
                backingFormat);
    }

    private static long l1Entries(long size, int clusterBits) {
        return Math.ceilDiv(size, 1L << (2 * clusterBits - 3));
    }

    /// Writes an empty image to an empty file. Header, refcount table, refcount blocks and L1 table
    /// follow each other.
    void write(BlockFile file) throws IOException {
        long clusterSize = 1L << clusterBits;
        long l1Bytes = l1Entries(size, clusterBits) * Long.BYTES;
        long l1Clusters = Math.ceilDiv(l1Bytes, clusterSize);
        long perBlock = (clusterSize * Byte.SIZE) >>> refcountOrder;
        long blocks = 1;
        long tableClusters = 1;
        while (blocks * perBlock < 1 + tableClusters + blocks + l1Clusters) {
            blocks++;
            tableClusters = Math.ceilDiv(blocks * Long.BYTES, clusterSize);
        }
        long l1Offset = (1 + tableClusters + blocks) * clusterSize;
        Buffer tables = Buffer.allocate((tableClusters + blocks) * clusterSize);
        for (int i = 0; i < blocks; i++) {
            tables.bytes()
                    .set(Qcow2.BE64, (long) i * Long.BYTES, (1 + tableClusters + i) * clusterSize);
        }
        MemorySegment counts = tables.bytes().asSlice(tableClusters * clusterSize);
        for (int i = 0; i < 1 + tableClusters + blocks + l1Clusters; i++) {
            // blocks follow each other, so entries do as well
            Refcounts.set(counts, i, refcountOrder, 1);
        }
        file.resize(l1Offset + l1Clusters * clusterSize);
        file.write(clusterSize, tables.vector(), 0, tables.bytes().byteSize());
        // an existing block device may have anything there
        Zeroes.write(file, l1Offset, l1Clusters * clusterSize);
        Buffer header = header(file.name(), l1Offset, (int) tableClusters).encode();
        file.write(0, header.vector(), 0, clusterSize);
        file.flush();
    }

    private Qcow2Header header(String name, long l1Offset, int tableClusters) {
        var extensions = new ArrayList<Qcow2Header.Extension>();
        int length = version == 2 ? Qcow2.LENGTH_OF_V2 : Qcow2.LENGTH_WITH_COMPRESSION;
        return new Qcow2Header(
                        name,
                        version,
                        clusterBits,
                        size,
                        (int) l1Entries(size, clusterBits),
                        l1Offset,
                        1L << clusterBits,
                        tableClusters,
                        0,
                        0,
                        zstd ? Qcow2.COMPRESSION : 0,
                        lazyRefcounts ? Qcow2.LAZY_REFCOUNTS : 0,
                        0,
                        refcountOrder,
                        length,
                        zstd ? Qcow2Header.ZSTD : Qcow2Header.ZLIB,
                        extensions,
                        null)
                .withBacking(backingFile, backingFormat == null ? null : backingFormat.title());
    }
}
