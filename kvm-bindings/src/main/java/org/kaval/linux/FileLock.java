package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.kaval.linux.abi.LinuxAbi;

/// Locks on ranges of a file that belong to the open file and not to the process ("open file
/// description locks", fcntl(2)): another open of the same file in this process is a stranger too.
/// They end when the descriptor is closed. They bind only those who ask for them.
///
/// Any thread.
public final class FileLock {
    // struct flock of fcntl.h, which jextract was not given
    static final long SIZE = 32;
    static final long TYPE = 0;
    static final long START = 8;
    static final long LENGTH = 16;

    // sys/file.h
    private static final int LOCK_EX = 2;
    private static final int LOCK_NB = 4;

    private static final long LOOK_MILLIS = 2;

    private FileLock() {}

    /// Who else may have a lock on the same bytes.
    public enum Kind {
        /// Others that are shared.
        SHARED(LinuxAbi.F_RDLCK()),
        /// Nobody.
        EXCLUSIVE(LinuxAbi.F_WRLCK());

        private final int type;

        Kind(int type) {
            this.type = type;
        }
    }

    /// Takes a lock.
    ///
    /// @return whether it was to be had
    public static boolean tryLock(Fd file, Kind kind, long start, long length)
            throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment lock = lock(arena, kind, start, length);
            long result = call(file, LinuxAbi.F_OFD_SETLK(), lock);
            if (result == -Errno.EAGAIN || result == -Errno.EACCES) {
                return false;
            }
            Syscall.check("F_OFD_SETLK", file.name(), result);
            return true;
        }
    }

    /// Whether a lock could be had, as far as others have locks.
    public static boolean isFree(Fd file, Kind kind, long start, long length)
            throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment lock = lock(arena, kind, start, length);
            Syscall.check("F_OFD_GETLK", file.name(), call(file, LinuxAbi.F_OFD_GETLK(), lock));
            return lock.get(JAVA_SHORT, TYPE) == LinuxAbi.F_UNLCK();
        }
    }

    /// Waits for a lock on a whole file or folder, which does not keep those of {@link #tryLock}
    /// out (flock(2)).
    ///
    /// @param limit whoever can read the file can keep others waiting for ever
    /// @return whether it has the lock
    public static boolean await(Fd file, Duration limit)
            throws ErrnoException, InterruptedException {
        long end = System.nanoTime() + limit.toNanos();
        while (true) {
            long result = Syscall.call(Syscall.FLOCK, file.number(), LOCK_EX | LOCK_NB, 0, 0, 0, 0);
            if (result != -Errno.EAGAIN && result != -Errno.EINTR) {
                Syscall.check("flock", file.name(), result);
                return true;
            }
            if (System.nanoTime() >= end) {
                return false;
            }
            Thread.sleep(LOOK_MILLIS);
        }
    }

    private static MemorySegment lock(Arena arena, Kind kind, long start, long length) {
        MemorySegment lock = arena.allocate(SIZE, Long.BYTES);
        lock.set(JAVA_SHORT, TYPE, (short) kind.type); // the start counts from SEEK_SET, 0
        lock.set(JAVA_LONG, START, start);
        lock.set(JAVA_LONG, LENGTH, length);
        return lock;
    }

    private static long call(Fd file, int command, MemorySegment lock) {
        return Syscall.call(Syscall.FCNTL, file.number(), command, lock.address(), 0, 0, 0);
    }
}
