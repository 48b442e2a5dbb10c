package org.kaval.devices.virtio;

import org.kaval.linux.ErrnoException;
import org.kaval.linux.IoVector;

/// The host's end of a connection: a stream of bytes each way that never blocks. One thread.
interface HostStream extends AutoCloseable {
    /// Has {@link VsockConnections#ready} called with `token` when something changes about what it
    /// can do.
    void watch(long token) throws ErrnoException;

    /// Reads up to `length` bytes into `into`. Allocates nothing.
    ///
    /// @return how many, 0 at the end, -1 if there are none yet
    long read(IoVector into, long length) throws ErrnoException;

    /// Writes bytes `from` to `from + length` of `source`. Allocates nothing.
    ///
    /// @return how many; fewer than `length` if there is no more room
    /// @throws ErrnoException if nobody reads them any more
    long write(IoVector source, long from, long length) throws ErrnoException;

    /// The other side finds the end behind what has been written.
    void endWriting();

    /// The other side cannot write any more.
    void endReading();

    @Override
    void close();
}
