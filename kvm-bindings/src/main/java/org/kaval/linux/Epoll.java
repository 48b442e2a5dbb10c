package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import org.kaval.linux.abi.LinuxAbi;
import org.kaval.linux.abi.epoll_event;

/// Waits for many descriptors at once (epoll(7)), level-triggered unless {@link #EDGE} says
/// otherwise.
///
/// {@link #await} and the accessors of its result belong to one thread; the other methods may be
/// called by any.
public final class Epoll implements AutoCloseable {
    /// There is something to read, or the other side has closed.
    public static final int IN = LinuxAbi.EPOLLIN();

    /// There is room to write.
    public static final int OUT = LinuxAbi.EPOLLOUT();

    /// An error is pending; reported without being asked for.
    public static final int ERROR = LinuxAbi.EPOLLERR();

    /// The other side has closed; reported without being asked for.
    public static final int HANGUP = LinuxAbi.EPOLLHUP();

    /// The other side will send no more; with {@link #IN}.
    public static final int END_OF_INPUT = 0x2000; // EPOLLRDHUP of sys/epoll.h

    /// Not for what is there, but when something comes: each time once.
    public static final int EDGE = WakeUp.EPOLLET;

    private static final int CAPACITY = 64;
    private static final long EVENT_SIZE = epoll_event.layout().byteSize();

    private final Fd fd;
    private final MemorySegment ready =
            Arena.ofAuto().allocate(epoll_event.layout().byteSize() * CAPACITY);

    private Epoll(Fd fd) {
        this.fd = fd;
    }

    public static Epoll create() throws ErrnoException {
        return new Epoll(open("epoll"));
    }

    static Fd open(String name) throws ErrnoException {
        long number = Syscall.call(Syscall.EPOLL_CREATE1, LinuxAbi.EPOLL_CLOEXEC(), 0, 0, 0, 0, 0);
        return new Fd(name, Syscall.check("epoll_create1", name, number));
    }

    /// Watches `watched` for `events`; `token` comes back with what {@link #await} reports.
    ///
    /// @throws ErrnoException with {@link Errno#EPERM} for a regular file, which is always ready
    public void add(Fd watched, int events, long token) throws ErrnoException {
        control(LinuxAbi.EPOLL_CTL_ADD(), watched, events, token);
    }

    /// Changes what is watched for.
    public void modify(Fd watched, int events, long token) throws ErrnoException {
        control(LinuxAbi.EPOLL_CTL_MOD(), watched, events, token);
    }

    public void remove(Fd watched) throws ErrnoException {
        control(LinuxAbi.EPOLL_CTL_DEL(), watched, 0, 0);
    }

    /// Waits until something is ready.
    ///
    /// @param timeoutMillis how long at most; -1 for ever
    /// @return how many results {@link #token} and {@link #events} have; 0 after the time or when a
    ///   signal came
    public int await(int timeoutMillis) throws ErrnoException {
        try {
            long result =
                    Syscall.call(
                            Syscall.EPOLL_PWAIT,
                            fd.number(),
                            ready.address(),
                            CAPACITY,
                            timeoutMillis,
                            0,
                            0);
            return result == -Errno.EINTR
                    ? 0
                    : (int) Syscall.check("epoll_pwait", fd.name(), result);
        } finally {
            Reference.reachabilityFence(ready);
        }
    }

    /// The token of result `index` of the last {@link #await}.
    public long token(int index) {
        return result(index).get(JAVA_LONG_UNALIGNED, epoll_event.data$offset());
    }

    /// What result `index` of the last {@link #await} is ready for: {@link #IN}, {@link #OUT}, …
    public int events(int index) {
        return epoll_event.events(result(index));
    }

    @Override
    public void close() {
        fd.close();
    }

    private MemorySegment result(int index) {
        return ready.asSlice(index * EVENT_SIZE, EVENT_SIZE);
    }

    private void control(int operation, Fd watched, int events, long token) throws ErrnoException {
        control(fd, operation, watched, events, token);
    }

    static void control(Fd epoll, int operation, Fd watched, int events, long token)
            throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment event = arena.allocate(epoll_event.layout());
            epoll_event.events(event, events);
            // the structure is packed, so the token is not aligned
            event.set(JAVA_LONG_UNALIGNED, epoll_event.data$offset(), token);
            Syscall.check(
                    "epoll_ctl",
                    watched.name(),
                    Syscall.call(
                            Syscall.EPOLL_CTL,
                            epoll.number(),
                            operation,
                            watched.number(),
                            event.address(),
                            0,
                            0));
        }
    }
}
