package org.kaval.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.abi.LinuxAbi;

/// Maps memory (mmap(2)) for the life of an arena. Any thread.
///
/// The kernel commits a page when it is first touched, and reserves no swap for it
/// (`MAP_NORESERVE`): a guest costs what it uses.
public final class Mmap {
    /// The unit of mappings, in bytes. x86-64 has no other base page size.
    public static final long PAGE_SIZE = 4096;

    // asm-generic/mman-common.h
    private static final int MAP_FIXED = 0x10;
    private static final int MADV_POPULATE_READ = 22; // since Linux 5.14
    private static final int MADV_DONTNEED = 4;
    private static final int MADV_REMOVE = 9;

    private Mmap() {}

    /// Zeroed memory that this process alone has.
    public static MemorySegment anonymous(Arena arena, long size) throws ErrnoException {
        int flags = LinuxAbi.MAP_PRIVATE() | LinuxAbi.MAP_ANONYMOUS() | LinuxAbi.MAP_NORESERVE();
        return map(arena, "anonymous memory", null, 0, size, flags);
    }

    /// Zeroed memory behind a descriptor, so that it can be shared with another process
    /// (memfd_create(2)).
    ///
    /// @param hugePages whether to take it from the host's pool of huge pages; all of it is
    ///   reserved at once then, so that the guest never dies of a page that is not there
    public static MemorySegment memfd(Arena arena, String name, long size, boolean hugePages)
            throws ErrnoException {
        int flags = LinuxAbi.MAP_SHARED() | (hugePages ? 0 : LinuxAbi.MAP_NORESERVE());
        // the mapping keeps the file; the descriptor is not needed for it
        try (Fd fd = Fd.memfd(name, size, hugePages)) {
            return map(arena, name, fd, 0, size, flags);
        }
    }

    /// What `file` holds from `offset` on; what is written stays in memory.
    ///
    /// @param offset a multiple of {@link #PAGE_SIZE}
    public static MemorySegment privateFile(Arena arena, Fd file, long offset, long size)
            throws ErrnoException {
        int flags = LinuxAbi.MAP_PRIVATE() | LinuxAbi.MAP_NORESERVE();
        return map(arena, file.name(), file, offset, size, flags);
    }

    /// Puts what `file` holds from `fileOffset` on into a part of private memory, in the place of
    /// what is there, as {@link #privateFile} has it. It goes with the rest of the memory.
    ///
    /// @param offset a multiple of {@link #PAGE_SIZE}, as are `fileOffset` and `length`
    public static void replacePrivate(
            MemorySegment memory, long offset, Fd file, long fileOffset, long length)
            throws ErrnoException {
        Objects.checkFromIndexSize(offset, length, memory.byteSize());
        int flags = LinuxAbi.MAP_PRIVATE() | LinuxAbi.MAP_NORESERVE() | MAP_FIXED;
        try {
            Syscall.check(
                    "mmap",
                    file.name(),
                    Syscall.call(
                            Syscall.MMAP,
                            memory.address() + offset,
                            length,
                            LinuxAbi.PROT_READ() | LinuxAbi.PROT_WRITE(),
                            flags,
                            Fd.numberOrMinusOne(file),
                            fileOffset));
        } finally {
            Reference.reachabilityFence(memory);
        }
    }

    /// Memory that is shared with whoever else has `file`, here the kernel.
    public static MemorySegment shared(Arena arena, Fd file, long offset, long size)
            throws ErrnoException {
        return map(arena, file.name(), file, offset, size, LinuxAbi.MAP_SHARED());
    }

    /// Asks the kernel to use transparent huge pages for `memory` (madvise(2)); without effect in a
    /// kernel that was built without them.
    public static void adviseHugePages(MemorySegment memory) throws ErrnoException {
        long result = advise(memory, LinuxAbi.MADV_HUGEPAGE());
        if (result != -Errno.EINVAL) {
            Syscall.check("MADV_HUGEPAGE", "memory", result);
        }
    }

    /// Keeps `memory` out of core dumps (madvise(2)).
    public static void adviseDontDump(MemorySegment memory) throws ErrnoException {
        Syscall.check("MADV_DONTDUMP", "memory", advise(memory, LinuxAbi.MADV_DONTDUMP()));
    }

    /// Gives whole pages of private memory back to the host. Later they are zeroes, or what the
    /// file has that was mapped (madvise(2)). Allocates nothing.
    public static void discardPrivate(MemorySegment memory, long offset, long length)
            throws ErrnoException {
        Syscall.check("MADV_DONTNEED", "memory", advise(memory, offset, length, MADV_DONTNEED));
    }

    /// Gives whole pages of shared memory back to the host, for all who have it. Later they are
    /// zeroes (madvise(2)). Allocates nothing.
    public static void discardShared(MemorySegment memory, long offset, long length)
            throws ErrnoException {
        Syscall.check("MADV_REMOVE", "memory", advise(memory, offset, length, MADV_REMOVE));
    }

    /// Reads pages of a file that are mapped, so that touching them later waits for nothing
    /// (madvise(2)); returns when they are there. Does nothing before Linux 5.14.
    public static void populate(MemorySegment memory, long offset, long length)
            throws ErrnoException {
        long result = advise(memory, offset, length, MADV_POPULATE_READ);
        if (result != -Errno.EINVAL) {
            Syscall.check("MADV_POPULATE_READ", "memory", result);
        }
    }

    private static long advise(MemorySegment memory, int advice) {
        return advise(memory, 0, memory.byteSize(), advice);
    }

    private static long advise(MemorySegment memory, long offset, long length, int advice) {
        Objects.checkFromIndexSize(offset, length, memory.byteSize());
        try {
            return Syscall.call(
                    Syscall.MADVISE, memory.address() + offset, length, advice, 0, 0, 0);
        } finally {
            Reference.reachabilityFence(memory);
        }
    }

    private static MemorySegment map(
            Arena arena, String name, @Nullable Fd fd, long offset, long size, int flags)
            throws ErrnoException {
        int protection = LinuxAbi.PROT_READ() | LinuxAbi.PROT_WRITE();
        long address =
                Syscall.check(
                        "mmap",
                        name,
                        Syscall.call(
                                Syscall.MMAP,
                                0,
                                size,
                                protection,
                                flags,
                                Fd.numberOrMinusOne(fd),
                                offset));
        return MemorySegment.ofAddress(address)
                .reinterpret(size, arena, mapping -> unmap(mapping.address(), size));
    }

    private static void unmap(long address, long size) {
        long result = Syscall.call(Syscall.MUNMAP, address, size, 0, 0, 0, 0);
        if (result < 0) {
            throw new IllegalStateException("munmap: " + Errno.name((int) -result));
        }
    }
}
