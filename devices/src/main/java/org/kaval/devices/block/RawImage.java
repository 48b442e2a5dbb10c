package org.kaval.devices.block;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.IoVector;

/// An image whose file, or block device, is the disk byte for byte.
///
/// A file whose size is not a multiple of 512 bytes is a disk with the rest of its last sector
/// zero; a write there makes the file whole.
public final class RawImage implements BlockImage {
    private static final int SECTOR = 512;

    private final BlockFile file;
    private final boolean readOnly;
    private final boolean discards;
    private volatile long size;

    private RawImage(BlockFile file, ImageOptions options) throws IOException {
        this.file = file;
        readOnly = options.readOnly();
        discards = options.discard() == ImageOptions.Discard.UNMAP;
        size = wholeSectors(file.size());
    }

    /// Opens a file or a block device.
    public static RawImage open(Path path, ImageOptions options) throws IOException {
        return over(HostFile.open(path, options), options);
    }

    /// Makes a file of `size` bytes, all zeroes, which takes no space yet.
    public static RawImage create(Path path, long size) throws IOException {
        HostFile file = HostFile.create(path);
        try {
            file.resize(size);
        } catch (IOException e) {
            file.close();
            Files.deleteIfExists(path);
            throw e;
        }
        return over(file, ImageOptions.WRITABLE);
    }

    static RawImage over(BlockFile file, ImageOptions options) throws IOException {
        try {
            return new RawImage(file, options);
        } catch (IOException e) {
            file.close();
            throw e;
        }
    }

    private static long wholeSectors(long bytes) {
        return Math.addExact(bytes, SECTOR - 1) & -SECTOR;
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
        file.read(offset, into, from, length);
    }

    @Override
    public boolean tryRead(long offset, IoVector into, long from, long length) throws IOException {
        Objects.checkFromIndexSize(offset, length, size);
        return file.tryRead(offset, into, from, length);
    }

    @Override
    public @Nullable RingAccess rings() {
        return file.rings();
    }

    @Override
    public void write(long offset, IoVector source, long from, long length) throws IOException {
        checkChange(offset, length);
        file.write(offset, source, from, length);
    }

    @Override
    public void flush() throws IOException {
        if (!readOnly) {
            file.flush();
        }
    }

    @Override
    public void discard(long offset, long length) throws IOException {
        checkChange(offset, length);
        if (discards && length > 0) {
            file.punchHole(offset, length);
        }
    }

    @Override
    public void writeZeroes(long offset, long length, boolean mayUnmap) throws IOException {
        checkChange(offset, length);
        if (length > 0
                && !(mayUnmap && discards && file.punchHole(offset, length))
                && !file.zeroRange(offset, length)) {
            Zeroes.write(file, offset, length);
        }
    }

    @Override
    public void resize(long bytes) throws IOException {
        checkChange(0, 0);
        file.resize(bytes);
        size = wholeSectors(bytes);
    }

    @Override
    public Extent extent(long offset, long limit) throws IOException {
        Objects.checkFromIndexSize(offset, limit, size);
        return file.extent(offset, limit);
    }

    @Override
    public void close() {
        file.close();
    }

    private void checkChange(long offset, long length) throws IOException {
        Objects.checkFromIndexSize(offset, length, size);
        if (readOnly) {
            throw new IOException(name() + ": opened for reading only");
        }
    }
}
