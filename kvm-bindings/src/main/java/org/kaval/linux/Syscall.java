package org.kaval.linux;

import static java.lang.foreign.MemoryLayout.PathElement.groupElement;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;

/// Every native call of this program goes through here: one call shape, seven longs in and one out,
/// because linking a second one costs 10 to 20 ms at start.
///
/// Any thread. Pointers travel as `long`, so the caller keeps the segment reachable
/// (`Reference.reachabilityFence`) until the call has returned.
final class Syscall {
    // Numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).
    static final int READ = 0;
    static final int WRITE = 1;
    static final int CLOSE = 3;
    static final int FSTAT = 5;
    static final int LSEEK = 8;
    static final int MMAP = 9;
    static final int MUNMAP = 11;
    static final int IOCTL = 16;
    static final int PREAD64 = 17;
    static final int PWRITE64 = 18;
    static final int READV = 19;
    static final int WRITEV = 20;
    static final int MADVISE = 28;
    static final int GETPID = 39;
    static final int SOCKET = 41;
    static final int CONNECT = 42;
    static final int SHUTDOWN = 48;
    static final int BIND = 49;
    static final int LISTEN = 50;
    static final int FCNTL = 72;
    static final int FLOCK = 73;
    static final int FDATASYNC = 75;
    static final int FTRUNCATE = 77;
    static final int FCHMOD = 91;
    static final int GETTID = 186;
    static final int EPOLL_CTL = 233;
    static final int TGKILL = 234;
    static final int OPENAT = 257;
    static final int EPOLL_PWAIT = 281;
    static final int TIMERFD_CREATE = 283;
    static final int FALLOCATE = 285;
    static final int TIMERFD_SETTIME = 286;
    static final int ACCEPT4 = 288;
    static final int EVENTFD2 = 290;
    static final int EPOLL_CREATE1 = 291;
    static final int PREADV = 295;
    static final int PWRITEV = 296;
    static final int MEMFD_CREATE = 319;
    static final int PREADV2 = 327;
    static final int IO_URING_SETUP = 425;
    static final int IO_URING_ENTER = 426;

    private static final StructLayout STATE = Linker.Option.captureStateLayout();
    private static final long ERRNO = STATE.byteOffset(groupElement("errno"));
    private static final ThreadLocal<MemorySegment> CAPTURED =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(STATE));
    private static final MethodHandle SYSCALL = link("syscall");

    private Syscall() {}

    /// Makes system call `number`; returns its result, or `-errno` when it failed.
    static long call(int number, long a, long b, long c, long d, long e, long f) {
        return invoke(SYSCALL, number, a, b, c, d, e, f);
    }

    /// {@link #call} that reports failure as an exception.
    ///
    /// @param operation what was tried, by the kernel's name (`KVM_CREATE_VM`)
    /// @param object what it was tried on (`/dev/kvm`)
    static long check(String operation, String object, long result) throws ErrnoException {
        if (result < 0) {
            throw new ErrnoException(operation, object, (int) -result);
        }
        return result;
    }

    /// Makes `function` of the C library the handler of `signal`: it runs on whatever thread gets
    /// the signal, so it must be async-signal-safe (signal-safety(7)) and cannot be Java. Returns
    /// the previous handler's address; 0 is `SIG_DFL`.
    static long installHandler(int signal, String function) {
        long handler = Linker.nativeLinker().defaultLookup().findOrThrow(function).address();
        return setHandler(signal, handler);
    }

    static long setHandler(int signal, long handler) {
        return invoke(link("signal"), signal, handler, 0, 0, 0, 0, 0);
    }

    private static long invoke(
            MethodHandle function, long a, long b, long c, long d, long e, long f, long g) {
        MemorySegment state = CAPTURED.get();
        try {
            long result = (long) function.invokeExact(state, a, b, c, d, e, f, g);
            // errno means something only after a failure
            return result == -1 ? -state.get(JAVA_INT, ERRNO) : result;
        } catch (Throwable impossible) {
            throw new AssertionError("a native call throws nothing", impossible);
        }
    }

    private static MethodHandle link(String function) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(
                linker.defaultLookup().findOrThrow(function),
                FunctionDescriptor.of(
                        JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG,
                        JAVA_LONG),
                Linker.Option.captureCallState("errno"),
                Linker.Option.firstVariadicArg(1));
    }
}
