package org.kaval.devices.block;

import static org.kaval.devices.block.Qcow2.BE32;
import static org.kaval.devices.block.Qcow2.BE64;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// The header of a qcow2 image as it is in the file, checked: all sizes are within limits, all
/// tables are aligned and inside the file.
///
/// @param headerLength in bytes; the extensions begin behind it
/// @param extensions all that the header has, in their order, without the end
/// @param backingFile as it is written there: relative to the folder of the image, if it is
record Qcow2Header(
        String name,
        int version,
        int clusterBits,
        long size,
        int l1Size,
        long l1Offset,
        long refcountTableOffset,
        int refcountTableClusters,
        int snapshotCount,
        long snapshotsOffset,
        long incompatible,
        long compatible,
        long autoclear,
        int refcountOrder,
        int headerLength,
        int compressionType,
        List<Extension> extensions,
        @Nullable String backingFile) {
    /// A header extension.
    static final class Extension {
        private final int type;
        private final byte[] data;

        /// @param data is not changed any more
        Extension(int type, byte... data) {
            this.type = type;
            this.data = data;
        }

        int type() {
            return type;
        }

        byte[] data() {
            return data;
        }
    }

    static final int ZLIB = 0;
    static final int ZSTD = 1;

    private static final String[] FEATURES = {
        "dirty", "corrupt", "external data file", "compression type", "extended L2 entries"
    };
    private static final long KNOWN =
            Qcow2.DIRTY | Qcow2.CORRUPT | Qcow2.COMPRESSION | Qcow2.EXTENDED_L2;
    private static final int EXTENSION_HEADER = 8;

    /// Reads and checks the header of `file`.
    static Qcow2Header read(BlockFile file) throws IOException {
        return new Qcow2HeaderReader(file).read();
    }

    /// Whether the file begins with the magic number.
    static boolean isThere(Path path) throws IOException {
        try (HostFile file = HostFile.open(path, ImageOptions.READ_ONLY.withLocked(false))) {
            Buffer start = Buffer.allocate(Integer.BYTES);
            file.read(0, start.vector(), 0, Integer.BYTES);
            return start.bytes().get(BE32, 0) == Qcow2.MAGIC;
        }
    }

    int clusterSize() {
        return 1 << clusterBits;
    }

    boolean has(long incompatibleFeature) {
        return (incompatible & incompatibleFeature) != 0;
    }

    /// How many bytes an entry of an L2 table has.
    int l2EntrySize() {
        return has(Qcow2.EXTENDED_L2) ? 2 * Long.BYTES : Long.BYTES;
    }

    /// How many bytes of the disk an L2 table describes.
    long bytesPerL2Table() {
        return ((long) clusterSize() / l2EntrySize()) << clusterBits;
    }

    /// How many clusters a refcount block counts.
    int refcountsPerBlock() {
        return (clusterSize() * Byte.SIZE) >>> refcountOrder;
    }

    /// The format of the backing file, as the image says.
    Optional<String> backingFormat() {
        return extension(Qcow2.BACKING_FORMAT)
                .map(found -> new String(found.data(), StandardCharsets.UTF_8));
    }

    Optional<Extension> extension(int type) {
        return extensions.stream().filter(found -> found.type() == type).findFirst();
    }

    /// Refuses what cannot be read: features that are not known.
    void checkFeatures() throws CorruptImageException {
        long unknown = incompatible & ~KNOWN;
        if (unknown != 0) {
            int bit = Long.numberOfTrailingZeros(unknown);
            String title = bit < FEATURES.length ? " (" + FEATURES[bit] + ")" : "";
            throw new CorruptImageException(
                    name,
                    Qcow2.INCOMPATIBLE,
                    "the image needs feature %d%s, expected only what is known: dirty, corrupt,"
                                    .formatted(bit, title)
                            + " compression type, extended L2 entries");
        }
    }

    Qcow2Header withBacking(@Nullable String file, @Nullable String format) {
        var others = new ArrayList<>(extensions);
        others.removeIf(found -> found.type() == Qcow2.BACKING_FORMAT);
        if (format != null) {
            byte[] data = format.getBytes(StandardCharsets.UTF_8);
            others.addFirst(new Extension(Qcow2.BACKING_FORMAT, data));
        }
        return new Qcow2Header(
                name,
                version,
                clusterBits,
                size,
                l1Size,
                l1Offset,
                refcountTableOffset,
                refcountTableClusters,
                snapshotCount,
                snapshotsOffset,
                incompatible,
                compatible,
                autoclear,
                refcountOrder,
                headerLength,
                compressionType,
                List.copyOf(others),
                file);
    }

    /// The header's cluster: fields, extensions, name of the backing file.
    ///
    /// @throws IOException if they do not fit
    Buffer encode() throws IOException {
        Buffer cluster = Buffer.allocate(clusterSize());
        MemorySegment bytes = cluster.bytes();
        byte[] backing =
                backingFile == null ? new byte[0] : backingFile.getBytes(StandardCharsets.UTF_8);
        if (backing.length > Qcow2.MAX_BACKING_NAME) {
            throw new IOException(
                    "%s: the backing file's name has %d bytes, expected at most %d"
                            .formatted(name, backing.length, Qcow2.MAX_BACKING_NAME));
        }
        encodeFields(bytes);
        int at = headerLength;
        for (Extension extension : extensions) {
            at = put(bytes, at, extension);
        }
        at = put(bytes, at, new Extension(Qcow2.END));
        if (backing.length > 0) {
            checkFits(at, backing.length);
            bytes.set(BE64, Qcow2.BACKING_OFFSET, at);
            bytes.set(BE32, Qcow2.BACKING_SIZE, backing.length);
            MemorySegment.copy(backing, 0, bytes, ValueLayout.JAVA_BYTE, at, backing.length);
        }
        return cluster;
    }

    private int put(MemorySegment bytes, int at, Extension extension) throws IOException {
        byte[] data = extension.data();
        int padded = (data.length + 7) & -8;
        checkFits(at, EXTENSION_HEADER + padded);
        bytes.set(BE32, at, extension.type());
        bytes.set(BE32, at + 4, data.length);
        MemorySegment.copy(
                data, 0, bytes, ValueLayout.JAVA_BYTE, at + EXTENSION_HEADER, data.length);
        return at + EXTENSION_HEADER + padded;
    }

    private void checkFits(int at, int length) throws IOException {
        if (length > clusterSize() - at) {
            throw new IOException(
                    "%s: the header's extensions and the backing file's name do not fit into"
                                    .formatted(name)
                            + " a cluster of %d bytes".formatted(clusterSize()));
        }
    }

    private void encodeFields(MemorySegment bytes) {
        bytes.set(BE32, 0, Qcow2.MAGIC);
        bytes.set(BE32, Qcow2.VERSION, version);
        bytes.set(BE32, Qcow2.CLUSTER_BITS, clusterBits);
        bytes.set(BE64, Qcow2.SIZE, size);
        bytes.set(BE32, Qcow2.L1_SIZE, l1Size);
        bytes.set(BE64, Qcow2.L1_OFFSET, l1Offset);
        bytes.set(BE64, Qcow2.REFCOUNT_TABLE_OFFSET, refcountTableOffset);
        bytes.set(BE32, Qcow2.REFCOUNT_TABLE_CLUSTERS, refcountTableClusters);
        bytes.set(BE32, Qcow2.SNAPSHOT_COUNT, snapshotCount);
        bytes.set(BE64, Qcow2.SNAPSHOTS_OFFSET, snapshotsOffset);
        if (version >= 3) {
            bytes.set(BE64, Qcow2.INCOMPATIBLE, incompatible);
            bytes.set(BE64, Qcow2.COMPATIBLE, compatible);
            bytes.set(BE64, Qcow2.AUTOCLEAR, autoclear);
            bytes.set(BE32, Qcow2.REFCOUNT_ORDER, refcountOrder);
            bytes.set(BE32, Qcow2.HEADER_LENGTH, headerLength);
        }
        if (headerLength > Qcow2.COMPRESSION_TYPE) {
            bytes.set(ValueLayout.JAVA_BYTE, Qcow2.COMPRESSION_TYPE, (byte) compressionType);
        }
    }
}
