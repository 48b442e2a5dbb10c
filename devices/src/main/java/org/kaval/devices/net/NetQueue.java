package org.kaval.devices.net;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.IoVector;

/// A way for frames in both directions. None of it blocks, and nothing but a new connection
/// allocates.
///
/// One thread receives, and one sends.
public interface NetQueue {
    /// The size of the `struct virtio_net_hdr_mrg_rxbuf` (Virtio 1.2 §5.1.6) that is before a
    /// frame, if the back end {@link NetBackend#hasHeader has one}.
    int HEADER = 12;

    /// There is nothing yet, or no room.
    long WOULD_WAIT = -1;

    /// The frame was lost: there was no room for it, or nobody to take it.
    long LOST = -2;

    /// How large the next frame will be, with its header, as far as is known; {@link #WOULD_WAIT}
    /// if it is known that there is none.
    long peek() throws ErrnoException;

    /// Receives a frame. Behind the bytes of `into` there is room for one more range, which this
    /// may use.
    ///
    /// @param into room for as many bytes as {@link #peek} said, or for fewer
    /// @return how many bytes it has with its header, {@link #WOULD_WAIT}, or {@link #LOST}; if
    ///   these are more than `into` had room for, what did not fit is at the beginning of {@link
    ///   #rest}
    long receive(IoVector into) throws ErrnoException;

    /// What of the frame that was received last did not fit, until the next is.
    default MemorySegment rest() {
        return MemorySegment.NULL;
    }

    /// Sends a frame.
    ///
    /// @param frame with its header, at most {@link NetBackend#MAX_FRAME} bytes behind that
    /// @return how many bytes, {@link #WOULD_WAIT}, or {@link #LOST}
    /// @throws ErrnoException if the host does not like it; the next may be better
    long send(IoVector frame) throws ErrnoException;

    /// Whether all that was sent is out; if not, this is to be called again when there is room.
    default boolean flush() throws ErrnoException {
        return true;
    }

    /// What to wait for after {@link #peek} or {@link #receive} would have to wait: for an edge;
    /// null if nothing will come. It may be another one after each call.
    @Nullable Fd input();

    /// What to wait for after {@link #send} or {@link #flush} would have to wait: for an edge. Who
    /// sends is the only one to close it before the back end is.
    @Nullable Fd output();
}
