package org.kaval.devices.net;

import java.lang.foreign.MemorySegment;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;
import org.kaval.memory.GuestMemory;

/// The host's kernel, as far as it moves the frames of one {@link NetQueue} to a pair of a guest's
/// rings and back, without this process (vhost-net).
///
/// It knows nothing but the rings: no limits, no filters, and what it writes to the guest's memory
/// nobody marks there. Where a ring is comes from the guest, and has been checked; what is in it
/// the kernel checks.
///
/// Any thread, one at a time for each ring.
public interface Vhost extends AutoCloseable {
    /// The ring of frames for the guest, and that of the guest's frames.
    int RECEIVE = 0;

    int TRANSMIT = 1;

    /// A ring of the guest's, in this process's memory, which stays there until it is stopped.
    ///
    /// @param size how many descriptors
    /// @param next which request of the driver's is the next, 0 to 65535
    /// @param kick is what the driver rings with
    /// @param error is signalled when the driver has broken the rules
    record Ring(
            int size,
            int next,
            MemorySegment descriptors,
            MemorySegment available,
            MemorySegment used,
            EventFd kick,
            EventFd error) {}

    /// Says what both rings are of, while they are stopped.
    ///
    /// @param features what the driver has accepted, of virtio's own and of a network device's
    void begin(long features, GuestMemory memory) throws ErrnoException;

    /// Says what interrupts the driver; the last one is not signalled any more when this returns.
    void interruptBy(int ring, EventFd event) throws ErrnoException;

    /// Starts {@link #RECEIVE} or {@link #TRANSMIT}.
    void start(int ring, Ring at) throws ErrnoException;

    /// Stops a ring, which may be stopped already: when this returns, nothing of it is touched, and
    /// all that has been taken from it has been given back.
    ///
    /// @return which request of the driver's is the next, 0 to 65535
    int stop(int ring) throws ErrnoException;

    /// Ends it.
    @Override
    void close();
}
