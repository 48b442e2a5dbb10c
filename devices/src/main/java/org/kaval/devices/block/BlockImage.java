package org.kaval.devices.block;

import java.io.Closeable;
import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.IoVector;

/// What a disk has on it: an array of bytes that outlives the machine.
///
/// Any thread; several requests may be under way at once, also on the same bytes, which then hold
/// what either of them wrote. Whoever closes an image makes sure that no request is. Offsets and
/// lengths are in bytes and need no alignment. A range outside of the image is a bug of the caller
/// ({@link IndexOutOfBoundsException}): the guest's numbers are checked before they come here.
public interface BlockImage extends Closeable {
    /// What it is called in messages: the path of its file.
    String name();

    /// In bytes. Changed by {@link #resize} only.
    long size();

    /// Whether all that changes it is refused.
    boolean readOnly();

    /// Fills bytes `from` to `from + length` of `into` with what is at `offset`.
    void read(long offset, IoVector into, long from, long length) throws IOException;

    /// {@link #read} if that need not wait for a disk.
    ///
    /// @return false if it would; some of the bytes may have been filled nevertheless
    default boolean tryRead(long offset, IoVector into, long from, long length) throws IOException {
        return false;
    }

    /// How its work is done in a ring; null if it cannot be.
    default @Nullable RingAccess rings() {
        return null;
    }

    /// Writes bytes `from` to `from + length` of `source` to `offset`. Not on the disk until {@link
    /// #flush}.
    void write(long offset, IoVector source, long from, long length) throws IOException;

    /// Returns when all that has been written is on the disk.
    void flush() throws IOException;

    /// Says that a range is not needed any more. It may hold anything it has ever held, or zeroes.
    void discard(long offset, long length) throws IOException;

    /// Makes a range zeroes.
    ///
    /// @param mayUnmap whether its space may be given back
    void writeZeroes(long offset, long length, boolean mayUnmap) throws IOException;

    /// Changes the size; what is new is zeroes, what is cut off is gone.
    void resize(long bytes) throws IOException;

    /// What is at `offset`, and for how long, at most `limit` bytes.
    Extent extent(long offset, long limit) throws IOException;

    /// Writes what is still in memory, and lets the file go.
    @Override
    void close() throws IOException;

    /// Fills all of `into` with what is at `offset`.
    default void read(long offset, IoVector into) throws IOException {
        read(offset, into, 0, into.byteSize());
    }

    /// Writes all of `source` to `offset`.
    default void write(long offset, IoVector source) throws IOException {
        write(offset, source, 0, source.byteSize());
    }
}
