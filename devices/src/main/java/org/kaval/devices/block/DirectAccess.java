package org.kaval.devices.block;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.concurrent.locks.StampedLock;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.IoVector;

/// Reads and writes past the page cache (`O_DIRECT` of open(2)), where the disk wants offsets,
/// lengths and memory aligned. What is not aligned goes through a buffer that is; a write that
/// covers a block of the disk in part reads the block first, and keeps other writes away meanwhile.
///
/// Any thread.
final class DirectAccess {
    private static final int SMALLEST = 512;
    private static final int LARGEST = Buffer.ALIGNMENT;
    private static final int BUFFER = 256 << 10;

    private final Fd fd;
    private final int alignment;

    /// Held exclusively by writes of parts of blocks.
    private final StampedLock blocks = new StampedLock();

    private final BufferPool buffers = new BufferPool(BUFFER);

    DirectAccess(Fd fd) throws ErrnoException {
        this.fd = fd;
        alignment = accepts(SMALLEST) ? SMALLEST : LARGEST;
    }

    static Fd open(Path path, Fd.Access access) throws IOException {
        try {
            return Fd.open(path, access, Fd.Option.DIRECT);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EINVAL) {
                throw new IOException(
                        path + ": its file system has no O_DIRECT; use the cache mode writeback",
                        e);
            }
            throw e;
        }
    }

    private boolean accepts(int block) throws ErrnoException {
        MemorySegment probe = Arena.ofAuto().allocate(2L * block, 2L * block).asSlice(block, block);
        try {
            // an empty file takes anything
            return fd.pread(probe, block) > 0;
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EINVAL) {
                return false;
            }
            throw e;
        }
    }

    /// Whether the file takes this as it is. Where the disk's blocks are larger than the sectors of
    /// guests, never: others have to be kept away from writes of a part of a block.
    boolean takes(long offset, IoVector vector) {
        return alignment == SMALLEST
                && isAligned(offset | vector.byteSize())
                && vector.isAligned(alignment);
    }

    void read(long offset, IoVector into, long from, long length) throws IOException {
        if (isAligned(offset | from | length) && into.isAligned(alignment)) {
            HostFile.readAll(fd, offset, into, from, length);
            return;
        }
        Buffer buffer = buffers.take();
        try {
            long done = 0;
            while (done < length) {
                long begin = down(offset + done);
                long skip = offset + done - begin;
                long count = Math.min(length - done, BUFFER - skip);
                HostFile.readAll(fd, begin, buffer.vector(), 0, up(skip + count));
                into.copyFrom(from + done, buffer.bytes(), skip, count);
                done += count;
            }
        } finally {
            buffers.give(buffer);
        }
    }

    void write(long offset, IoVector source, long from, long length) throws IOException {
        boolean wholeBlocks = isAligned(offset | length);
        long stamp = wholeBlocks ? blocks.readLock() : blocks.writeLock();
        try {
            if (wholeBlocks && isAligned(from) && source.isAligned(alignment)) {
                HostFile.writeAll(fd, offset, source, from, length);
            } else {
                writeThroughBuffer(offset, source, from, length);
            }
        } finally {
            blocks.unlock(stamp);
        }
    }

    private void writeThroughBuffer(long offset, IoVector source, long from, long length)
            throws IOException {
        Buffer buffer = buffers.take();
        try {
            long done = 0;
            while (done < length) {
                long begin = down(offset + done);
                long skip = offset + done - begin;
                long count = Math.min(length - done, BUFFER - skip);
                long size = up(skip + count);
                if (size != count) {
                    HostFile.readAll(fd, begin, buffer.vector(), 0, size);
                }
                source.copyTo(from + done, buffer.bytes(), skip, count);
                HostFile.writeAll(fd, begin, buffer.vector(), 0, size);
                done += count;
            }
        } finally {
            buffers.give(buffer);
        }
    }

    private boolean isAligned(long bits) {
        return (bits & (alignment - 1)) == 0;
    }

    private long down(long value) {
        return value & -alignment;
    }

    private long up(long value) {
        return down(value + alignment - 1);
    }
}
