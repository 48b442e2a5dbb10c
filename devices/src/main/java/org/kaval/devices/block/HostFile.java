package org.kaval.devices.block;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.FileStatus;
import org.kaval.linux.IoUring;
import org.kaval.linux.IoVector;

/// A file or block device of the host.
final class HostFile implements BlockFile, RingAccess {
    private final Fd fd;
    private final FileStatus.Kind kind;
    private final boolean ignoresFlushes;
    private final @Nullable DirectAccess direct;

    // false once the file system has said that it cannot
    private volatile boolean tellsWhatIsCached = true;
    private volatile boolean punches = true;
    private volatile boolean zeroes = true;

    /// Why a flush failed. The kernel forgets what it could not write, so none succeeds after that.
    private volatile @Nullable ErrnoException lost;

    private HostFile(Fd fd, FileStatus status, ImageOptions.Cache cache) throws IOException {
        this.fd = fd;
        kind = status.kind();
        ignoresFlushes = cache == ImageOptions.Cache.UNSAFE;
        direct = cache == ImageOptions.Cache.NONE ? new DirectAccess(fd) : null;
    }

    /// Opens an existing file.
    static HostFile open(Path path, ImageOptions options) throws IOException {
        Fd.Access access = options.readOnly() ? Fd.Access.READ : Fd.Access.READ_WRITE;
        return of(
                options.cache() == ImageOptions.Cache.NONE
                        ? DirectAccess.open(path, access)
                        : Fd.open(path, access),
                options);
    }

    /// Makes a file that must not exist.
    static HostFile create(Path path) throws IOException {
        return of(Fd.open(path, Fd.Access.READ_WRITE, Fd.Option.CREATE_NEW), ImageOptions.WRITABLE);
    }

    /// Makes a file without a name, which is gone when it is closed.
    static HostFile temporary(Path directory, String name) throws IOException {
        return of(
                openTemporary(directory, name),
                ImageOptions.WRITABLE.withLocked(false).withCache(ImageOptions.Cache.UNSAFE));
    }

    private static Fd openTemporary(Path directory, String name) throws IOException {
        try {
            return Fd.temporary(directory, name);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.EOPNOTSUPP && e.errno() != Errno.EISDIR) {
                throw e;
            }
            // a file system that has no files without names
            Path file = directory.resolve(".kaval-" + UUID.randomUUID());
            Fd fd = Fd.open(file, Fd.Access.READ_WRITE, Fd.Option.CREATE_NEW);
            Files.delete(file);
            return fd;
        }
    }

    private static HostFile of(Fd fd, ImageOptions options) throws IOException {
        boolean kept = false;
        try {
            FileStatus status = FileStatus.of(fd);
            if (status.kind() == FileStatus.Kind.OTHER) {
                throw new IOException(fd.name() + ": neither a file nor a block device");
            }
            if (options.locked()) {
                ImageLock.take(fd, options.readOnly());
            }
            var file = new HostFile(fd, status, options.cache());
            kept = true;
            return file;
        } finally {
            if (!kept) {
                fd.close();
            }
        }
    }

    FileStatus status() throws IOException {
        return FileStatus.of(fd);
    }

    @Override
    public String name() {
        return fd.name();
    }

    @Override
    public long size() throws IOException {
        return status().size();
    }

    @Override
    public void read(long offset, IoVector into, long from, long length) throws IOException {
        if (direct != null) {
            direct.read(offset, into, from, length);
            return;
        }
        readAll(fd, offset, into, from, length);
    }

    @Override
    public boolean tryRead(long offset, IoVector into, long from, long length) throws IOException {
        if (direct != null || !tellsWhatIsCached) {
            return false;
        }
        long count;
        try {
            count = fd.preadvNow(into, from, length, offset);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.EOPNOTSUPP) {
                throw e;
            }
            tellsWhatIsCached = false;
            return false;
        }
        return count == length;
    }

    @Override
    public void write(long offset, IoVector source, long from, long length) throws IOException {
        if (direct != null) {
            direct.write(offset, source, from, length);
            return;
        }
        writeAll(fd, offset, source, from, length);
    }

    @Override
    public RingAccess rings() {
        return this;
    }

    @Override
    public boolean read(IoUring ring, long token, long offset, IoVector into) {
        if (into.count() == 0 || (direct != null && !direct.takes(offset, into))) {
            return false;
        }
        ring.read(fd, into, offset, token);
        return true;
    }

    @Override
    public boolean write(IoUring ring, long token, long offset, IoVector source) {
        if (source.count() == 0 || (direct != null && !direct.takes(offset, source))) {
            return false;
        }
        ring.write(fd, source, offset, token);
        return true;
    }

    @Override
    public boolean flush(IoUring ring, long token) {
        if (ignoresFlushes || lost != null) {
            return false;
        }
        ring.flush(fd, token);
        return true;
    }

    @Override
    public void flushed(int result) throws IOException {
        if (result < 0) {
            var failure = new ErrnoException("fdatasync", name(), -result);
            lost = failure;
            throw failure;
        }
    }

    /// Reads in as many calls as it takes; what is behind the end of the file is zeroes.
    static void readAll(Fd fd, long offset, IoVector into, long from, long length)
            throws IOException {
        long done = 0;
        while (done < length) {
            long count = fd.preadv(into, from + done, length - done, offset + done);
            if (count == 0) {
                into.fillWithZeroes(from + done, length - done);
                return;
            }
            done += count;
        }
    }

    /// Writes in as many calls as it takes.
    static void writeAll(Fd fd, long offset, IoVector source, long from, long length)
            throws IOException {
        long done = 0;
        while (done < length) {
            long count = fd.pwritev(source, from + done, length - done, offset + done);
            if (count == 0) {
                throw new IOException(
                        "%s: offset 0x%x: nothing could be written"
                                .formatted(fd.name(), offset + done));
            }
            done += count;
        }
    }

    @Override
    public void flush() throws IOException {
        if (ignoresFlushes) {
            return;
        }
        ErrnoException before = lost;
        if (before != null) {
            throw new IOException(
                    before.getMessage() + ", before; what was written is lost", before);
        }
        try {
            fd.fdatasync();
        } catch (ErrnoException e) {
            lost = e;
            throw e;
        }
    }

    @Override
    public void resize(long size) throws IOException {
        if (kind == FileStatus.Kind.BLOCK_DEVICE) {
            if (size > size()) {
                throw new IOException(
                        "%s: %d bytes are more than the %d of the block device"
                                .formatted(name(), size, size()));
            }
            return;
        }
        fd.ftruncate(size);
    }

    @Override
    public boolean punchHole(long offset, long length) throws IOException {
        punches = punches && fd.punchHole(offset, length);
        return punches;
    }

    @Override
    public boolean zeroRange(long offset, long length) throws IOException {
        zeroes = zeroes && fd.zeroRange(offset, length);
        return zeroes;
    }

    @Override
    public Extent extent(long offset, long limit) throws IOException {
        if (kind == FileStatus.Kind.BLOCK_DEVICE) {
            return new Extent(Extent.Kind.DATA, limit);
        }
        long data = fd.seekData(offset);
        if (data != offset) {
            long length = data < 0 ? limit : Math.min(data - offset, limit);
            return new Extent(Extent.Kind.ZERO, length);
        }
        long hole = fd.seekHole(offset);
        return new Extent(
                Extent.Kind.DATA, hole <= offset ? limit : Math.min(hole - offset, limit));
    }

    @Override
    public void close() {
        fd.close();
    }
}
