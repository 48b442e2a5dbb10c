package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import org.kaval.linux.abi.LinuxAbi;

/// A counter in the kernel that wakes who waits for it (eventfd(2)); non-blocking. KVM signals one
/// for an ioeventfd and listens to one for an irqfd.
///
/// {@link #signal} may be called by any thread; {@link #drain} by one thread at a time.
public final class EventFd implements AutoCloseable {
    private final Fd fd;
    private final MemorySegment one = Arena.ofAuto().allocateFrom(JAVA_LONG, 1);
    private final MemorySegment count = Arena.ofAuto().allocate(JAVA_LONG);

    private EventFd(Fd fd) {
        this.fd = fd;
    }

    /// Creates one with the count 0.
    ///
    /// @param name what it is for, for messages
    public static EventFd create(String name) throws ErrnoException {
        int flags = LinuxAbi.EFD_CLOEXEC() | LinuxAbi.EFD_NONBLOCK();
        long number = Syscall.call(Syscall.EVENTFD2, 0, flags, 0, 0, 0, 0);
        return new EventFd(new Fd(name, Syscall.check("eventfd2", name, number)));
    }

    /// Adds one to the count. Allocates nothing.
    public void signal() {
        try {
            // EAGAIN: the count is at its limit, so a signal is pending anyway
            checkUnlessEmptyOrFull(
                    "write", Syscall.call(Syscall.WRITE, fd.number(), one.address(), 8, 0, 0, 0));
        } finally {
            Reference.reachabilityFence(one);
        }
    }

    /// Sets the count to 0 and returns what it was, 0 if nobody has signalled. Allocates nothing.
    public long drain() {
        try {
            long result = Syscall.call(Syscall.READ, fd.number(), count.address(), 8, 0, 0, 0);
            checkUnlessEmptyOrFull("read", result);
            return result == 8 ? count.get(JAVA_LONG, 0) : 0;
        } finally {
            Reference.reachabilityFence(count);
        }
    }

    private void checkUnlessEmptyOrFull(String operation, long result) {
        if (result < 0 && result != -Errno.EAGAIN) {
            // the descriptor is ours and open: nothing else can go wrong
            throw new IllegalStateException(
                    "%s on %s: %s".formatted(operation, fd, Errno.name((int) -result)));
        }
    }

    /// The descriptor, to wait for it with {@link Epoll} or to hand it to KVM.
    public Fd fd() {
        return fd;
    }

    @Override
    public void close() {
        fd.close();
    }
}
