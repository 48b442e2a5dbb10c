package org.kaval.devices.block;

import static org.kaval.devices.block.Qcow2.BE32;
import static org.kaval.devices.block.Qcow2.BE64;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Reads the header of a qcow2 image, trusting none of it.
final class Qcow2HeaderReader {
    private static final int MAX_EXTENSIONS = 64;

    private final BlockFile file;
    private final String name;
    private final long fileSize;
    private final MemorySegment bytes; // the first cluster, or what there can be of it
    private int clusterSize;
    private int version;

    Qcow2HeaderReader(BlockFile file) throws IOException {
        this.file = file;
        name = file.name();
        fileSize = file.size();
        Buffer first = Buffer.allocate(1 << Qcow2.MAX_CLUSTER_BITS);
        bytes = first.bytes();
        file.read(0, first.vector(), 0, Math.min(bytes.byteSize(), fileSize));
    }

    Qcow2Header read() throws IOException {
        require(fileSize >= Qcow2.LENGTH_OF_V2, 0, "%d bytes, expected a qcow2 header", fileSize);
        require(u32(0) == Qcow2.MAGIC, 0, "0x%08x, expected the magic number of qcow2", u32(0));
        version = u32(Qcow2.VERSION);
        require(
                version == 2 || version == 3,
                Qcow2.VERSION,
                "version %s, expected 2 or 3",
                Integer.toUnsignedString(version));
        int clusterBits = u32(Qcow2.CLUSTER_BITS);
        require(
                clusterBits >= Qcow2.MIN_CLUSTER_BITS && clusterBits <= Qcow2.MAX_CLUSTER_BITS,
                Qcow2.CLUSTER_BITS,
                "clusters of 2^%s bytes, expected 2^9 to 2^21",
                Integer.toUnsignedString(clusterBits));
        clusterSize = 1 << clusterBits;
        require(
                u32(Qcow2.CRYPT_METHOD) == 0,
                Qcow2.CRYPT_METHOD,
                "the image is encrypted (method %d), expected one that is not",
                u32(Qcow2.CRYPT_METHOD));
        int headerLength = headerLength();
        int refcountOrder = version == 2 ? 4 : u32(Qcow2.REFCOUNT_ORDER);
        require(
                refcountOrder >= 0 && refcountOrder <= 6,
                Qcow2.REFCOUNT_ORDER,
                "reference counts of 2^%s bits, expected 2^0 to 2^6",
                Integer.toUnsignedString(refcountOrder));
        long incompatible = version == 2 ? 0 : u64(Qcow2.INCOMPATIBLE);
        int compression =
                headerLength > Qcow2.COMPRESSION_TYPE
                        ? Byte.toUnsignedInt(
                                bytes.get(ValueLayout.JAVA_BYTE, Qcow2.COMPRESSION_TYPE))
                        : Qcow2Header.ZLIB;
        checkCompression(compression, incompatible);
        var header =
                new Qcow2Header(
                        name,
                        version,
                        clusterBits,
                        u64(Qcow2.SIZE),
                        u32(Qcow2.L1_SIZE),
                        u64(Qcow2.L1_OFFSET),
                        u64(Qcow2.REFCOUNT_TABLE_OFFSET),
                        u32(Qcow2.REFCOUNT_TABLE_CLUSTERS),
                        u32(Qcow2.SNAPSHOT_COUNT),
                        u64(Qcow2.SNAPSHOTS_OFFSET),
                        incompatible,
                        version == 2 ? 0 : u64(Qcow2.COMPATIBLE),
                        version == 2 ? 0 : u64(Qcow2.AUTOCLEAR),
                        refcountOrder,
                        headerLength,
                        compression,
                        extensions(headerLength),
                        backingFile());
        header.checkFeatures();
        checkTables(header);
        return header;
    }

    private int headerLength() throws CorruptImageException {
        if (version == 2) {
            return Qcow2.LENGTH_OF_V2;
        }
        int length = u32(Qcow2.HEADER_LENGTH);
        require(
                length >= Qcow2.LENGTH_OF_V3
                        && length <= Math.min(clusterSize, fileSize)
                        && length % Long.BYTES == 0,
                Qcow2.HEADER_LENGTH,
                "a header of %s bytes, expected a multiple of 8 from 104 to a cluster",
                Integer.toUnsignedString(length));
        return length;
    }

    private void checkCompression(int type, long incompatible) throws CorruptImageException {
        boolean flagged = (incompatible & Qcow2.COMPRESSION) != 0;
        require(
                type == Qcow2Header.ZLIB || type == Qcow2Header.ZSTD,
                Qcow2.COMPRESSION_TYPE,
                "compression %d, expected 0 (zlib) or 1 (zstd)",
                type);
        require(
                flagged == (type != Qcow2Header.ZLIB),
                Qcow2.COMPRESSION_TYPE,
                "compression %d, expected the feature bit 'compression type' to agree",
                type);
    }

    private void checkTables(Qcow2Header header) throws CorruptImageException {
        long size = header.size();
        require(
                size >= 0,
                Qcow2.SIZE,
                "a disk of %s bytes, expected less than 2^63",
                Long.toUnsignedString(size));
        long l1Bytes = Integer.toUnsignedLong(header.l1Size()) * Long.BYTES;
        require(
                l1Bytes <= Qcow2.MAX_L1_BYTES,
                Qcow2.L1_SIZE,
                "an L1 table of %d bytes, expected at most %d",
                l1Bytes,
                Qcow2.MAX_L1_BYTES);
        long needed = Math.ceilDiv(size, header.bytesPerL2Table());
        require(
                header.l1Size() >= needed,
                Qcow2.L1_SIZE,
                "an L1 table of %d entries, expected at least %d for a disk of %d bytes",
                header.l1Size(),
                needed,
                size);
        checkPlace(Qcow2.L1_OFFSET, header.l1Offset(), l1Bytes, "the L1 table");
        long refcountBytes =
                Integer.toUnsignedLong(header.refcountTableClusters()) << header.clusterBits();
        require(
                refcountBytes > 0 && refcountBytes <= Qcow2.MAX_REFCOUNT_TABLE_BYTES,
                Qcow2.REFCOUNT_TABLE_CLUSTERS,
                "a refcount table of %d bytes, expected 1 to %d",
                refcountBytes,
                Qcow2.MAX_REFCOUNT_TABLE_BYTES);
        checkPlace(
                Qcow2.REFCOUNT_TABLE_OFFSET,
                header.refcountTableOffset(),
                refcountBytes,
                "the refcount table");
        long snapshots = Integer.toUnsignedLong(header.snapshotCount());
        require(
                snapshots <= Qcow2.MAX_SNAPSHOTS,
                Qcow2.SNAPSHOT_COUNT,
                "%d snapshots, expected at most %d",
                snapshots,
                Qcow2.MAX_SNAPSHOTS);
        if (snapshots > 0) {
            checkPlace(
                    Qcow2.SNAPSHOTS_OFFSET,
                    header.snapshotsOffset(),
                    snapshots * Qcow2Snapshots.SMALLEST,
                    "the snapshot table");
        }
    }

    private void checkPlace(int field, long offset, long length, String what)
            throws CorruptImageException {
        require(
                length == 0
                        || (offset > 0
                                && offset % clusterSize == 0
                                && offset < fileSize
                                && length <= roundedUp(fileSize) - offset),
                field,
                "%s at 0x%x with %d bytes, expected at a cluster and within the file of %d bytes",
                what,
                offset,
                length,
                fileSize);
    }

    private long roundedUp(long value) {
        return Math.addExact(value, clusterSize - 1) & -clusterSize;
    }

    private List<Qcow2Header.Extension> extensions(int start) throws CorruptImageException {
        long backing = u64(Qcow2.BACKING_OFFSET);
        long end = backing > start && backing < clusterSize ? backing : clusterSize;
        var found = new ArrayList<Qcow2Header.Extension>();
        long at = start;
        while (at + Long.BYTES <= end && found.size() < MAX_EXTENSIONS) {
            int type = u32((int) at);
            int length = u32((int) at + 4);
            if (type == Qcow2.END) {
                break;
            }
            at += Long.BYTES;
            require(
                    length >= 0 && length <= end - at,
                    at - 4,
                    "a header extension of %s bytes, expected at most %d",
                    Integer.toUnsignedString(length),
                    end - at);
            byte[] data = bytes.asSlice(at, length).toArray(ValueLayout.JAVA_BYTE);
            found.add(new Qcow2Header.Extension(type, data));
            at += (length + 7L) & -8;
        }
        return List.copyOf(found);
    }

    private @Nullable String backingFile() throws CorruptImageException {
        long offset = u64(Qcow2.BACKING_OFFSET);
        if (offset == 0) {
            return null;
        }
        int length = u32(Qcow2.BACKING_SIZE);
        require(
                length > 0 && length <= Qcow2.MAX_BACKING_NAME,
                Qcow2.BACKING_SIZE,
                "a backing file's name of %s bytes, expected 1 to %d",
                Integer.toUnsignedString(length),
                Qcow2.MAX_BACKING_NAME);
        require(
                offset > 0 && offset <= Math.min(clusterSize, fileSize) - length,
                Qcow2.BACKING_OFFSET,
                "the backing file's name at 0x%x, expected within the first cluster",
                offset);
        byte[] text = bytes.asSlice(offset, length).toArray(ValueLayout.JAVA_BYTE);
        for (byte character : text) {
            require(
                    character >= ' ' || character < 0,
                    offset,
                    "a backing file's name with the character 0x%02x, expected text",
                    character);
        }
        return new String(text, StandardCharsets.UTF_8);
    }

    private int u32(int at) {
        return bytes.get(BE32, at);
    }

    private long u64(int at) {
        return bytes.get(BE64, at);
    }

    @SuppressWarnings("AnnotateFormatMethod") // the annotation is of a library that is not used
    private void require(boolean condition, long offset, String problem, Object... values)
            throws CorruptImageException {
        if (!condition) {
            throw new CorruptImageException(file.name(), offset, problem.formatted(values));
        }
    }
}
