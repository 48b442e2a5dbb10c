package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.abi.LinuxAbi;

/// Owns one file descriptor; closes it once, whoever asks.
///
/// Any thread. Who closes a descriptor makes sure that no thread is blocked in a call on it: the
/// kernel may hand its number out again at once.
public final class Fd implements AutoCloseable {
    private static final int AT_FDCWD = -100; // linux/fcntl.h

    private final String name;
    private volatile int number; // -1 once closed

    /// Takes over descriptor `number`, which the kernel has just returned.
    Fd(String name, long number) {
        this.name = name;
        this.number = (int) number;
    }

    /// How a file is opened.
    public enum Access {
        READ(LinuxAbi.O_RDONLY()),
        WRITE(LinuxAbi.O_WRONLY()),
        READ_WRITE(LinuxAbi.O_RDWR());

        private final int flags;

        Access(int flags) {
            this.flags = flags;
        }
    }

    /// Opens an existing file (open(2)) with `O_CLOEXEC`.
    public static Fd open(Path path, Access access) throws ErrnoException {
        String name = path.toString();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment cPath = arena.allocateFrom(name);
            int flags = access.flags | LinuxAbi.O_CLOEXEC();
            return new Fd(
                    name,
                    Syscall.check(
                            "openat",
                            name,
                            Syscall.call(
                                    Syscall.OPENAT, AT_FDCWD, cPath.address(), flags, 0, 0, 0)));
        }
    }

    /// A descriptor of its own for this process's standard input; closing it leaves standard input
    /// open.
    public static Fd duplicateOfStandardInput() throws ErrnoException {
        String name = "standard input";
        return new Fd(
                name,
                Syscall.check(
                        "fcntl",
                        name,
                        Syscall.call(Syscall.FCNTL, 0, LinuxAbi.F_DUPFD_CLOEXEC(), 0, 0, 0, 0)));
    }

    /// Creates a file that lives in memory only (memfd_create(2)), `size` bytes long.
    ///
    /// @param hugePages whether it is made of the host's default huge pages; `size` is a multiple
    ///   of their size then
    static Fd memfd(String name, long size, boolean hugePages) throws ErrnoException {
        int flags = LinuxAbi.MFD_CLOEXEC() | (hugePages ? LinuxAbi.MFD_HUGETLB() : 0);
        Fd fd;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment cName = arena.allocateFrom(name);
            long result = Syscall.call(Syscall.MEMFD_CREATE, cName.address(), flags, 0, 0, 0, 0);
            fd = new Fd(name, Syscall.check("memfd_create", name, result));
        }
        long result = Syscall.call(Syscall.FTRUNCATE, fd.number(), size, 0, 0, 0, 0);
        if (result < 0) {
            fd.close();
        }
        Syscall.check("ftruncate", name, result);
        return fd;
    }

    /// What this descriptor is of, for messages: a path, `eventfd`, `vcpu 0`.
    public String name() {
        return name;
    }

    /// The kernel's number. For this module only.
    ///
    /// @throws IllegalStateException if it is closed
    public int number() {
        int current = number;
        if (current < 0) {
            throw new IllegalStateException(name + " is closed");
        }
        return current;
    }

    /// Makes an ioctl(2) whose argument is a plain number. For this module only.
    ///
    /// @param operation the request's name, for the message
    public long ioctl(String operation, long request, long argument) throws ErrnoException {
        return Syscall.check(operation, name, tryIoctl(request, argument));
    }

    /// Makes an ioctl(2) whose argument is a structure. For this module only.
    public long ioctl(String operation, long request, MemorySegment argument)
            throws ErrnoException {
        try {
            return ioctl(operation, request, argument.address());
        } finally {
            Reference.reachabilityFence(argument); // an automatic arena must not free it meanwhile
        }
    }

    /// Makes an ioctl(2) that returns a new descriptor. For this module only.
    public Fd ioctlFd(String operation, long request, long argument, String newName)
            throws ErrnoException {
        return new Fd(newName, ioctl(operation, request, argument));
    }

    /// Makes an ioctl(2) and returns `-errno` when it fails: for calls whose failure is ordinary.
    /// For this module only.
    public long tryIoctl(long request, long argument) {
        return Syscall.call(Syscall.IOCTL, number(), request, argument, 0, 0, 0);
    }

    /// Reads up to `into.length` bytes (read(2)); 0 at the end, -1 if nothing is there yet.
    public int read(byte[] into) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(into.length);
            long result =
                    Syscall.call(Syscall.READ, number(), buffer.address(), into.length, 0, 0, 0);
            if (result == -Errno.EAGAIN || result == -Errno.EINTR) {
                return -1;
            }
            int length = (int) Syscall.check("read", name, result);
            MemorySegment.copy(buffer, JAVA_BYTE, 0, into, 0, length);
            return length;
        }
    }

    @Override
    public synchronized void close() {
        if (number >= 0) {
            // close(2) releases the number even when it reports an error: never again
            Syscall.call(Syscall.CLOSE, number, 0, 0, 0, 0, 0);
            number = -1;
        }
    }

    @Override
    public String toString() {
        return name;
    }

    static long numberOrMinusOne(@Nullable Fd fd) {
        return fd == null ? -1 : fd.number();
    }
}
