package org.kaval.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import org.kaval.linux.abi.LinuxAbi;
import org.kaval.linux.abi.epoll_event;

/// An eventfd for which several threads wait: each signal wakes one of them, and is gone then.
///
/// A read would do with one system call, too, but wakes all that wait for it. Here they wait in an
/// epoll(7) that is edge-triggered: it wakes one, the last that came, and the count of the eventfd
/// is never read. Signals that come while nobody waits are one.
///
/// Any thread.
public final class WakeUp implements AutoCloseable {
    // sys/epoll.h; not of jextract, which gives C's 2^31 a minus
    static final int EPOLLET = 1 << 31;

    private final EventFd event;
    private final Fd epoll;

    /// What epoll reports, which is the same each time: so all threads may share it.
    private final MemorySegment ignored = Arena.ofAuto().allocate(epoll_event.layout());

    private WakeUp(EventFd event, Fd epoll) {
        this.event = event;
        this.epoll = epoll;
    }

    /// Creates one that has not been signalled.
    ///
    /// @param name what it is for, for messages
    public static WakeUp create(String name) throws ErrnoException {
        EventFd event = EventFd.create(name);
        Fd epoll = null;
        try {
            epoll = Epoll.open(name);
            Epoll.control(
                    epoll, LinuxAbi.EPOLL_CTL_ADD(), event.fd(), LinuxAbi.EPOLLIN() | EPOLLET, 0);
        } catch (ErrnoException e) {
            event.close();
            if (epoll != null) {
                epoll.close();
            }
            throw e;
        }
        return new WakeUp(event, epoll);
    }

    /// The eventfd, to hand it to KVM. It is not drained.
    public EventFd event() {
        return event;
    }

    /// Wakes one thread. Allocates nothing.
    public void signal() {
        event.signal();
    }

    /// Waits for a signal. Allocates nothing.
    ///
    /// @param timeoutMillis how long at most; -1 for ever
    /// @return whether one came; false after the time or when a POSIX signal came
    public boolean await(int timeoutMillis) {
        try {
            long result =
                    Syscall.call(
                            Syscall.EPOLL_PWAIT,
                            epoll.number(),
                            ignored.address(),
                            1,
                            timeoutMillis,
                            0,
                            0);
            if (result < 0 && result != -Errno.EINTR) {
                // the descriptor is ours and open: nothing else can go wrong
                throw new IllegalStateException(
                        "epoll_pwait on %s: %s".formatted(epoll, Errno.name((int) -result)));
            }
            return result == 1;
        } finally {
            Reference.reachabilityFence(ignored);
        }
    }

    /// Begins to wait in `ring`, whose result says that {@link #await} would return at once. It has
    /// to be called then, for what has come to be gone. One thread at a time waits in this way.
    public void poll(IoUring ring, long token) {
        ring.poll(epoll, token);
    }

    /// No thread may wait.
    @Override
    public void close() {
        epoll.close();
        event.close();
    }
}
