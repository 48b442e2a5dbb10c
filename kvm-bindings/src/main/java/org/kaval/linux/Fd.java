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

    // linux/fs.h; not of jextract, which skips macros with a cast
    static final int RWF_NOWAIT = 8;

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

    /// What else is wanted of an opened file.
    public enum Option {
        /// The file is made; it is an error if it exists.
        CREATE_NEW(LinuxAbi.O_CREAT() | LinuxAbi.O_EXCL()),
        /// Reads and writes go past the page cache; they are aligned.
        DIRECT(LinuxAbi.O_DIRECT());

        private final int flags;

        Option(int flags) {
            this.flags = flags;
        }
    }

    /// Links the native call that all of these go through, which otherwise the first one does.
    public static void prepare() {
        try (Arena arena = Arena.ofConfined()) {
            arena.allocateFrom("");
            Syscall.call(Syscall.GETPID, 0, 0, 0, 0, 0, 0);
        }
    }

    /// Opens a file (open(2)) with `O_CLOEXEC`.
    public static Fd open(Path path, Access access, Option... options) throws ErrnoException {
        int flags = access.flags;
        for (Option option : options) {
            flags |= option.flags;
        }
        return open(path, path.toString(), flags, 0666);
    }

    /// Makes a file without a name in `directory`, gone when it is closed (`O_TMPFILE` of open(2)).
    ///
    /// @param name for messages
    public static Fd temporary(Path directory, String name) throws ErrnoException {
        return open(directory, name, LinuxAbi.O_TMPFILE() | LinuxAbi.O_RDWR(), 0600);
    }

    private static Fd open(Path path, String name, int flags, int mode) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            long cPath = arena.allocateFrom(path.toString()).address();
            int all = flags | LinuxAbi.O_CLOEXEC();
            long result = Syscall.call(Syscall.OPENAT, AT_FDCWD, cPath, all, mode, 0, 0);
            return new Fd(name, Syscall.check("openat", name, result));
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
    public static Fd memfd(String name, long size, boolean hugePages) throws ErrnoException {
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

    /// Reads into bytes `from` to `from + length` of `into` what is next (readv(2)). Allocates
    /// nothing.
    ///
    /// @return how many bytes, 0 at the end, -1 if nothing is there yet
    public long readv(IoVector into, long from, long length) throws ErrnoException {
        return stream("readv", Syscall.READV, into, from, length);
    }

    /// Writes bytes `from` to `from + length` of `source` (writev(2)). Allocates nothing.
    ///
    /// @return how many bytes, -1 if there is no room yet
    /// @throws ErrnoException with {@link Errno#EPIPE} if nobody will read them
    public long writev(IoVector source, long from, long length) throws ErrnoException {
        return stream("writev", Syscall.WRITEV, source, from, length);
    }

    private long stream(String operation, int call, IoVector memory, long from, long length)
            throws ErrnoException {
        long result;
        do {
            result = memory.call(call, number(), from, length, 0, 0);
        } while (result == -Errno.EINTR);
        return result == -Errno.EAGAIN ? -1 : Syscall.check(operation, name, result);
    }

    /// Reads from `fileOffset` on into bytes `from` to `from + length` of `into` (preadv(2)).
    /// Allocates nothing.
    ///
    /// @return how many bytes; fewer than `length` at the end of the file, and whenever the kernel
    ///   likes
    public long preadv(IoVector into, long from, long length, long fileOffset)
            throws ErrnoException {
        return vectored("preadv", Syscall.PREADV, into, from, length, fileOffset);
    }

    /// Writes bytes `from` to `from + length` of `source` to `fileOffset` (pwritev(2)). Allocates
    /// nothing.
    ///
    /// @return how many bytes, which may be fewer than `length`
    public long pwritev(IoVector source, long from, long length, long fileOffset)
            throws ErrnoException {
        return vectored("pwritev", Syscall.PWRITEV, source, from, length, fileOffset);
    }

    /// {@link #preadv} of what is in the host's page cache (`RWF_NOWAIT` of preadv2(2)): does not
    /// wait for a disk. Allocates nothing.
    ///
    /// @return how many bytes, 0 at the end of the file; -1 if it would have to wait
    /// @throws ErrnoException with {@link Errno#EOPNOTSUPP} if this kind of file cannot tell
    public long preadvNow(IoVector into, long from, long length, long fileOffset)
            throws ErrnoException {
        long result = into.call(Syscall.PREADV2, number(), from, length, fileOffset, RWF_NOWAIT);
        if (result == -Errno.EAGAIN || result == -Errno.EINTR) {
            return -1;
        }
        return Syscall.check("preadv2", name, result);
    }

    private long vectored(
            String operation, int call, IoVector memory, long from, long length, long fileOffset)
            throws ErrnoException {
        long result;
        do {
            result = memory.call(call, number(), from, length, fileOffset, 0);
        } while (result == -Errno.EINTR);
        return Syscall.check(operation, name, result);
    }

    /// Reads from `fileOffset` on into `into` (pread(2)); how many bytes, as {@link #preadv} does.
    public long pread(MemorySegment into, long fileOffset) throws ErrnoException {
        return positioned("pread", Syscall.PREAD64, into, fileOffset);
    }

    /// Writes `source` to `fileOffset` (pwrite(2)); how many bytes, as {@link #pwritev} does.
    public long pwrite(MemorySegment source, long fileOffset) throws ErrnoException {
        return positioned("pwrite", Syscall.PWRITE64, source, fileOffset);
    }

    private long positioned(String operation, int call, MemorySegment memory, long fileOffset)
            throws ErrnoException {
        try {
            long size = memory.byteSize();
            long result;
            do {
                result = Syscall.call(call, number(), memory.address(), size, fileOffset, 0, 0);
            } while (result == -Errno.EINTR);
            return Syscall.check(operation, name, result);
        } finally {
            Reference.reachabilityFence(memory);
        }
    }

    /// Returns when what has been written is on the disk (fdatasync(2)).
    public void fdatasync() throws ErrnoException {
        long result;
        do {
            result = Syscall.call(Syscall.FDATASYNC, number(), 0, 0, 0, 0, 0);
        } while (result == -Errno.EINTR);
        Syscall.check("fdatasync", name, result);
    }

    /// Sets the file's size; what is new is zeroes (ftruncate(2)).
    public void ftruncate(long size) throws ErrnoException {
        Syscall.check(
                "ftruncate", name, Syscall.call(Syscall.FTRUNCATE, number(), size, 0, 0, 0, 0));
    }

    /// Gives the space of a range back; it reads as zeroes then (fallocate(2)).
    ///
    /// @return whether this file can do that
    public boolean punchHole(long offset, long length) throws ErrnoException {
        int mode = LinuxAbi.FALLOC_FL_PUNCH_HOLE() | LinuxAbi.FALLOC_FL_KEEP_SIZE();
        return fallocate("FALLOC_FL_PUNCH_HOLE", mode, offset, length);
    }

    /// Makes a range zeroes and keeps space for it; the file's size stays (fallocate(2)).
    ///
    /// @return whether this file can do that
    public boolean zeroRange(long offset, long length) throws ErrnoException {
        int mode = LinuxAbi.FALLOC_FL_ZERO_RANGE() | LinuxAbi.FALLOC_FL_KEEP_SIZE();
        return fallocate("FALLOC_FL_ZERO_RANGE", mode, offset, length);
    }

    private boolean fallocate(String operation, int mode, long offset, long length)
            throws ErrnoException {
        long result;
        do {
            result = Syscall.call(Syscall.FALLOCATE, number(), mode, offset, length, 0, 0);
        } while (result == -Errno.EINTR);
        if (result == -Errno.EOPNOTSUPP || result == -Errno.ENODEV) {
            return false;
        }
        Syscall.check(operation, name, result);
        return true;
    }

    /// Where the first data at or behind `offset` begins, -1 if there is none (`SEEK_DATA` of
    /// lseek(2)). Moves the position of {@link #read}.
    public long seekData(long offset) throws ErrnoException {
        return seek("SEEK_DATA", LinuxAbi.SEEK_DATA(), offset);
    }

    /// Where the first hole at or behind `offset` begins, which the end of the file is too; -1 if
    /// `offset` is behind the end (`SEEK_HOLE` of lseek(2)).
    public long seekHole(long offset) throws ErrnoException {
        return seek("SEEK_HOLE", LinuxAbi.SEEK_HOLE(), offset);
    }

    private long seek(String operation, int whence, long offset) throws ErrnoException {
        long result = Syscall.call(Syscall.LSEEK, number(), offset, whence, 0, 0, 0);
        return result == -Errno.ENXIO ? -1 : Syscall.check(operation, name, result);
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
