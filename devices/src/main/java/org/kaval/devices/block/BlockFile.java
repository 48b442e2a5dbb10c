package org.kaval.devices.block;

import java.io.Closeable;
import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.IoVector;

/// What image formats keep their bytes in: a file of the host, or in tests something that fails
/// when it is told to.
///
/// Any thread. Nothing is checked against a size: what is behind the end reads as zeroes, and a
/// write there makes the file longer.
interface BlockFile extends Closeable {
    String name();

    /// As the file system has it now.
    long size() throws IOException;

    void read(long offset, IoVector into, long from, long length) throws IOException;

    /// {@link #read} if that need not wait for a disk.
    ///
    /// @return false if it would; some of the bytes may have been filled nevertheless
    default boolean tryRead(long offset, IoVector into, long from, long length) throws IOException {
        return false;
    }

    /// As {@link BlockImage#rings}.
    default @Nullable RingAccess rings() {
        return null;
    }

    void write(long offset, IoVector source, long from, long length) throws IOException;

    /// Returns when what has been written is on the disk.
    void flush() throws IOException;

    void resize(long size) throws IOException;

    /// Gives the space of a range back, which is zeroes then.
    ///
    /// @return false if that cannot be done here
    boolean punchHole(long offset, long length) throws IOException;

    /// Makes a range zeroes that keep their space.
    ///
    /// @return false if that cannot be done here but by writing
    boolean zeroRange(long offset, long length) throws IOException;

    /// Where data or a hole is, as far as the file system knows.
    Extent extent(long offset, long limit) throws IOException;

    @Override
    void close();
}
