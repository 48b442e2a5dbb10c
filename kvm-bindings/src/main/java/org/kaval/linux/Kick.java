package org.kaval.linux;

/// The signal that makes a blocking `KVM_RUN` of another thread return.
///
/// It is `SIGRTMIN+2` as glibc counts (36): HotSpot uses no real-time signal, glibc keeps 32 and
/// 33. Its handler must exist and do nothing: by default it would kill the process, ignored it
/// would interrupt no call, and a Java upcall may not run in a signal handler. So the handler is
/// `htonl` of the C library, which is on POSIX's list of async-signal-safe functions. It is not
/// blocked outside `KVM_RUN` either: the KVM API (section 5, `immediate_exit`) has that flag for
/// the time before the call, which spares two changes of the signal mask per run.
///
/// Any thread.
public final class Kick {
    private static final int SIGNAL = 36;
    private static final int PROCESS = (int) Syscall.call(Syscall.GETPID, 0, 0, 0, 0, 0, 0);

    private static final long PREVIOUS_HANDLER = install();

    private Kick() {}

    /// Makes sure that the signal can be used.
    ///
    /// @throws HostUnsupportedException if another part of this process has a handler for it
    public static void requireHandler() throws HostUnsupportedException {
        if (PREVIOUS_HANDLER != 0) {
            throw new HostUnsupportedException(
                    "signal %d, which stops vCPUs, already has a handler in this process"
                            .formatted(SIGNAL));
        }
    }

    /// The kernel's id of the calling platform thread, to be given to {@link #send}.
    public static int currentThreadId() {
        return (int) Syscall.call(Syscall.GETTID, 0, 0, 0, 0, 0, 0);
    }

    /// Interrupts the `KVM_RUN` that thread `threadId` is in; does nothing if it has ended. Calls
    /// that the kernel can restart, as `read`, go on: glibc's `signal` asks for that
    /// (`SA_RESTART`).
    public static void send(int threadId) {
        Syscall.call(Syscall.TGKILL, PROCESS, threadId, SIGNAL, 0, 0, 0);
    }

    private static long install() {
        long previous = Syscall.installHandler(SIGNAL, "htonl");
        if (previous != 0) {
            Syscall.setHandler(SIGNAL, previous);
        }
        return previous;
    }
}
