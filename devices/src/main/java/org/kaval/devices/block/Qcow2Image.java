package org.kaval.devices.block;

import java.io.IOException;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.IoVector;

/// An image in QEMU's format qcow2, versions 2 and 3: it takes the space of what has been written,
/// and may lie over another image, whose bytes show wherever nothing has been written.
///
/// Read are compressed clusters, extended L2 entries and reference counts of any width; internal
/// snapshots stay as they are. Written are images without extended L2 entries.
///
/// Reads, and writes to clusters that the image has for itself, hold no lock while they wait for
/// the file, and allocate nothing. Other writes go one after the other.
public final class Qcow2Image implements BlockImage {
    private final BlockFile file;
    private final Qcow2Header header;
    private final boolean readOnly;
    private final boolean discards;
    private final @Nullable BlockImage backing;
    private final ClusterMap map;
    private final Qcow2Reader reader;
    private final @Nullable Qcow2Writer writer;
    private volatile long size;

    private Qcow2Image(
            BlockFile file, Qcow2Header header, ImageOptions options, @Nullable BlockImage backing)
            throws IOException {
        this.file = file;
        this.header = header;
        this.backing = backing;
        readOnly = options.readOnly();
        discards = options.discard() == ImageOptions.Discard.UNMAP;
        size = header.size();
        long snapshots = Qcow2Snapshots.read(file, header).tableBytes();
        map = new ClusterMap(file, header, FixedTables.of(header, snapshots));
        reader = new Qcow2Reader(file, header, map, backing);
        writer =
                readOnly
                        ? null
                        : new Qcow2Writer(
                                file,
                                header,
                                map,
                                new Refcounts(file, header, map, discards),
                                reader);
    }

    /// Opens an image; both files are closed with it, and also if that fails.
    ///
    /// @param backing what shows where the image has nothing; may be null even if the image names
    ///   one
    static Qcow2Image over(BlockFile file, ImageOptions options, @Nullable BlockImage backing)
            throws IOException {
        boolean opened = false;
        try {
            Qcow2Header header = Qcow2Header.read(file);
            if (!options.readOnly()) {
                header = Qcow2Opening.prepareForWriting(file, header);
            }
            var image = new Qcow2Image(file, header, options, backing);
            opened = true;
            return image;
        } finally {
            if (!opened) {
                file.close();
                if (backing != null) {
                    backing.close();
                }
            }
        }
    }

    Qcow2Header header() {
        return header;
    }

    /// The image below, if there is one.
    @Nullable BlockImage backing() {
        return backing;
    }

    @Override
    public String name() {
        return file.name();
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public boolean readOnly() {
        return readOnly;
    }

    @Override
    public void read(long offset, IoVector into, long from, long length) throws IOException {
        Objects.checkFromIndexSize(offset, length, size);
        reader.read(offset, into, from, length);
    }

    @Override
    public boolean tryRead(long offset, IoVector into, long from, long length) throws IOException {
        Objects.checkFromIndexSize(offset, length, size);
        return reader.tryRead(offset, into, from, length);
    }

    @Override
    public void write(long offset, IoVector source, long from, long length) throws IOException {
        writeUnchecked(checkChange(offset, length), offset, source, from, length);
    }

    private void writeUnchecked(
            Qcow2Writer writer, long offset, IoVector source, long from, long length)
            throws IOException {
        long done = 0;
        while (done < length) {
            long count = writeInPlace(offset + done, source, from + done, length - done);
            if (count == 0) {
                count = writer.write(offset + done, source, from + done, length - done);
            }
            done += count;
        }
    }

    /// Writes a whole cluster, in a new image, that is compressed as the header says.
    ///
    /// @param length of the compressed data, less than a cluster
    void writeCompressed(long offset, Buffer data, int length) throws IOException {
        checkChange(offset, 1).writeCompressed(offset, data, length);
    }

    /// @return 0 if the cluster at `offset` cannot be written where it is
    private long writeInPlace(long offset, IoVector source, long from, long length)
            throws IOException {
        Run run = map.lookup(offset, length);
        try {
            if (!run.writable) {
                return 0;
            }
            file.write(run.host, source, from, run.length);
            return run.length;
        } finally {
            map.done(run);
        }
    }

    @Override
    public void flush() throws IOException {
        if (writer != null) {
            writer.flush();
        }
    }

    @Override
    public void discard(long offset, long length) throws IOException {
        Qcow2Writer to = checkChange(offset, length);
        if (discards) {
            to.discard(firstWhole(offset), endOfWhole(offset + length));
        }
    }

    @Override
    public void writeZeroes(long offset, long length, boolean mayUnmap) throws IOException {
        zero(checkChange(offset, length), offset, offset + length, mayUnmap && discards);
    }

    private void zero(Qcow2Writer writer, long offset, long end, boolean mayUnmap)
            throws IOException {
        long first = firstWhole(offset);
        long last = endOfWhole(end);
        if (first >= last || header.version() == 2) {
            writeZeroesAsData(writer, offset, end);
            return;
        }
        writeZeroesAsData(writer, offset, first << header.clusterBits());
        writer.zero(first, last, mayUnmap);
        writeZeroesAsData(writer, Math.min(end, last << header.clusterBits()), end);
    }

    private void writeZeroesAsData(Qcow2Writer writer, long offset, long end) throws IOException {
        IoVector zeroes = Zeroes.vector();
        long at = offset;
        while (at < end) {
            // not where there are zeroes already
            long clusterEnd = (at | (header.clusterSize() - 1)) + 1;
            long count = Math.min(Math.min(clusterEnd, end) - at, zeroes.byteSize());
            if (!reader.isZero(at, count)) {
                writeUnchecked(writer, at, zeroes, 0, count);
            }
            at += count;
        }
    }

    private long firstWhole(long offset) {
        return (offset + header.clusterSize() - 1) >>> header.clusterBits();
    }

    /// The last cluster of the disk may have a part in it only, and is whole nevertheless.
    private long endOfWhole(long end) {
        return end == size ? firstWhole(end) : end >>> header.clusterBits();
    }

    @Override
    public void resize(long bytes) throws IOException {
        Qcow2Writer to = checkChange(0, 0);
        if (bytes < 0) {
            throw new IllegalArgumentException(bytes + " bytes");
        }
        if (header.version() == 2 && header.snapshotCount() > 0) {
            throw new IOException(
                    name() + ": an image of version 2 with snapshots has one size for all");
        }
        long before = size;
        if (bytes < before) {
            size = bytes;
            to.clear(firstWhole(bytes), firstWhole(before));
        } else {
            to.provideTables(bytes);
            // what the rest of the last cluster holds, and the image below, must not show
            long clusterEnd = firstWhole(before) << header.clusterBits();
            long end = Math.min(bytes, Math.max(clusterEnd, reader.sizeBelow()));
            if (end > before) {
                zeroTail(to, before, end);
            }
        }
        to.writeSize(bytes);
        size = bytes;
    }

    private void zeroTail(Qcow2Writer writer, long from, long end) throws IOException {
        long wholeEnd = firstWhole(end) << header.clusterBits();
        if (header.version() == 2) {
            writeZeroesAsData(writer, from, end);
        } else {
            zero(writer, from, wholeEnd, true);
        }
    }

    /// Empties the image, so that the one below shows everywhere.
    void clear() throws IOException {
        Qcow2Writer to = checkChange(0, 0);
        to.clear(0, firstWhole(size));
        to.flush();
    }

    @Override
    public Extent extent(long offset, long limit) throws IOException {
        Objects.checkFromIndexSize(offset, limit, size);
        return reader.extent(offset, limit);
    }

    @Override
    public void close() throws IOException {
        try {
            if (writer != null) {
                writer.finish();
            }
        } finally {
            file.close();
            if (backing != null) {
                backing.close();
            }
        }
    }

    private Qcow2Writer checkChange(long offset, long length) throws IOException {
        Objects.checkFromIndexSize(offset, length, size);
        if (writer == null) {
            throw new IOException(name() + ": opened for reading only");
        }
        return writer;
    }
}
