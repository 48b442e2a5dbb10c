package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.concurrent.TimeUnit;
import org.kaval.linux.abi.LinuxAbi;
import org.kaval.linux.abi.itimerspec;
import org.kaval.linux.abi.timespec;

/// A timer on the monotonic clock that is ready to read when it has expired (timerfd_create(2)).
///
/// One thread at a time.
public final class TimerFd implements AutoCloseable {
    private static final long NANOS_PER_SECOND = TimeUnit.SECONDS.toNanos(1);

    private final Fd fd;
    private final MemorySegment count = Arena.ofAuto().allocate(JAVA_LONG);

    private TimerFd(Fd fd) {
        this.fd = fd;
    }

    /// Creates a timer that is not running.
    public static TimerFd create(String name) throws ErrnoException {
        int flags = LinuxAbi.TFD_CLOEXEC() | LinuxAbi.TFD_NONBLOCK();
        long number =
                Syscall.call(Syscall.TIMERFD_CREATE, LinuxAbi.CLOCK_MONOTONIC(), flags, 0, 0, 0, 0);
        return new TimerFd(new Fd(name, Syscall.check("timerfd_create", name, number)));
    }

    /// Starts the timer, or stops it.
    ///
    /// @param delayNanos until it first expires; 0 stops it
    /// @param periodNanos between later expirations; 0 for one only
    public void set(long delayNanos, long periodNanos) throws ErrnoException {
        if (delayNanos < 0 || periodNanos < 0) {
            throw new IllegalArgumentException("negative time");
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment spec = arena.allocate(itimerspec.layout());
            setTime(itimerspec.it_value(spec), delayNanos);
            setTime(itimerspec.it_interval(spec), periodNanos);
            Syscall.check(
                    "timerfd_settime",
                    fd.name(),
                    Syscall.call(Syscall.TIMERFD_SETTIME, fd.number(), 0, spec.address(), 0, 0, 0));
        }
    }

    /// How often it has expired since the last call.
    public long drain() throws ErrnoException {
        try {
            long result = Syscall.call(Syscall.READ, fd.number(), count.address(), 8, 0, 0, 0);
            if (result == -Errno.EAGAIN) {
                return 0;
            }
            Syscall.check("read", fd.name(), result);
            return count.get(JAVA_LONG, 0);
        } finally {
            Reference.reachabilityFence(count);
        }
    }

    /// The descriptor, to wait for it with {@link Epoll}.
    public Fd fd() {
        return fd;
    }

    @Override
    public void close() {
        fd.close();
    }

    private static void setTime(MemorySegment time, long nanos) {
        timespec.tv_sec(time, nanos / NANOS_PER_SECOND);
        timespec.tv_nsec(time, nanos % NANOS_PER_SECOND);
    }
}
