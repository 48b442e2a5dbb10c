package org.kaval.devices.block;

import java.io.IOException;
import org.kaval.linux.IoUring;
import org.kaval.linux.IoVector;

/// Work on an image that is begun in a ring, and done by the kernel while the thread goes on.
///
/// Offsets are in bytes, and known to be on the disk. What is begun and then has an error, or fewer
/// bytes than it was for, is done again by the image itself, which says what is wrong.
public interface RingAccess {
    /// Begins to read what is at `offset` into all of `into`; the result is the number of bytes.
    ///
    /// @return false if nothing has been begun: it is for {@link BlockImage#read}
    boolean read(IoUring ring, long token, long offset, IoVector into);

    /// The same for {@link BlockImage#write}.
    boolean write(IoUring ring, long token, long offset, IoVector source);

    /// The same for {@link BlockImage#flush}; the result is for {@link #flushed}.
    boolean flush(IoUring ring, long token);

    /// Ends a flush.
    ///
    /// @throws IOException if it has failed
    void flushed(int result) throws IOException;
}
