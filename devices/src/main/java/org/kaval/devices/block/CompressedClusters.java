package org.kaval.devices.block;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.compression.CorruptDataException;
import org.kaval.devices.compression.Input;
import org.kaval.devices.compression.Output;
import org.kaval.devices.compression.Zstd;
import org.kaval.linux.IoVector;

/// Reads compressed clusters. The last one stays decompressed, because what reads a part of a
/// cluster mostly reads the next part then. Any thread, one at a time.
final class CompressedClusters {
    private static final int SECTOR = 512;

    private final BlockFile file;
    private final Qcow2Header header;
    private final int clusterSize;

    // guarded by this
    private long cached; // the entry of what is in `cluster`; no entry is 0
    private final Buffer cluster;
    private final Buffer packed;

    CompressedClusters(BlockFile file, Qcow2Header header) {
        this.file = file;
        this.header = header;
        clusterSize = header.clusterSize();
        cluster = Buffer.allocate(clusterSize);
        packed = Buffer.allocate(2L * clusterSize + SECTOR);
    }

    /// Where the data of a compressed cluster begin in the file, by its entry in an L2 table.
    static long offset(long entry, int clusterBits) {
        return entry & ((1L << sizeShift(clusterBits)) - 1);
    }

    /// How many bytes there are for them at most.
    static long length(long entry, int clusterBits) {
        long sectors =
                ((entry & ~(Qcow2.COPIED | Qcow2.COMPRESSED)) >>> sizeShift(clusterBits)) + 1;
        return sectors * SECTOR - (offset(entry, clusterBits) & (SECTOR - 1));
    }

    /// The entry of a compressed cluster whose `length` bytes are at `offset` of the file.
    static long entry(long offset, int length, int clusterBits) {
        long moreSectors = (offset + length - 1) / SECTOR - offset / SECTOR;
        return Qcow2.COMPRESSED | moreSectors << sizeShift(clusterBits) | offset;
    }

    static int sizeShift(int clusterBits) {
        return 62 - (clusterBits - 8);
    }

    synchronized void read(long entry, long diskOffset, IoVector into, long from, long length)
            throws IOException {
        if (cached != entry) {
            cached = 0;
            long offset = offset(entry, header.clusterBits());
            long size = length(entry, header.clusterBits());
            if (offset < clusterSize) {
                throw new CorruptImageException(
                        header.name(), offset, "a compressed cluster, expected the header");
            }
            file.read(offset, packed.vector(), 0, size);
            decompress(offset, packed.bytes().asSlice(0, size));
            cached = entry;
        }
        into.copyFrom(from, cluster.bytes(), diskOffset & (clusterSize - 1), length);
    }

    private void decompress(long offset, MemorySegment data) throws CorruptImageException {
        if (header.compressionType() == Qcow2Header.ZSTD) {
            unpackZstd(offset, data);
        } else {
            inflate(offset, data);
        }
    }

    private void unpackZstd(long offset, MemorySegment data) throws CorruptImageException {
        try {
            var output = new Output(cluster.bytes());
            Zstd.decompress(new Input(data), output);
            checkSize(offset, output.position());
        } catch (CorruptDataException e) {
            throw corrupt(offset + e.offset(), e.getMessage());
        }
    }

    private void inflate(long offset, MemorySegment data) throws CorruptImageException {
        try (var inflater = new Inflater(true)) {
            inflater.setInput(data.asByteBuffer());
            checkSize(offset, inflater.inflate(cluster.bytes().asByteBuffer()));
        } catch (DataFormatException e) {
            throw corrupt(offset, "%s, expected deflated data".formatted(e.getMessage()));
        }
    }

    private void checkSize(long offset, int size) throws CorruptImageException {
        if (size != clusterSize) {
            throw corrupt(offset, "%d bytes, expected %d".formatted(size, clusterSize));
        }
    }

    private CorruptImageException corrupt(long offset, @Nullable String why) {
        return new CorruptImageException(header.name(), offset, "a compressed cluster: " + why);
    }
}
