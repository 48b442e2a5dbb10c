package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.kaval.linux.abi.stat;

/// What kind of file a descriptor is of, and how large (fstat(2)).
///
/// @param size in bytes, of a block device too
/// @param allocated how many bytes of disk it takes; 0 for a device
/// @param device together with `inode`, which file this is, whatever its name
public record FileStatus(Kind kind, long size, long allocated, long device, long inode) {
    /// What a file is.
    public enum Kind {
        FILE,
        BLOCK_DEVICE,
        OTHER
    }

    static final int S_IFMT = 0170000; // bits/stat.h
    static final int S_IFREG = 0100000;
    static final int S_IFBLK = 0060000;
    static final long BLKGETSIZE64 = 0x8008_1272L; // linux/fs.h, _IOR(0x12, 114, size_t)

    private static final int BLOCK = 512; // the unit of st_blocks

    /// Asks the kernel about `file`.
    public static FileStatus of(Fd file) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment status = arena.allocate(stat.layout());
            Syscall.check(
                    "fstat",
                    file.name(),
                    Syscall.call(Syscall.FSTAT, file.number(), status.address(), 0, 0, 0, 0));
            Kind kind =
                    switch (stat.st_mode(status) & S_IFMT) {
                        case S_IFREG -> Kind.FILE;
                        case S_IFBLK -> Kind.BLOCK_DEVICE;
                        default -> Kind.OTHER;
                    };
            return new FileStatus(
                    kind,
                    kind == Kind.BLOCK_DEVICE ? deviceSize(file, arena) : stat.st_size(status),
                    stat.st_blocks(status) * BLOCK,
                    stat.st_dev(status),
                    stat.st_ino(status));
        }
    }

    private static long deviceSize(Fd device, Arena arena) throws ErrnoException {
        MemorySegment size = arena.allocate(JAVA_LONG);
        device.ioctl("BLKGETSIZE64", BLKGETSIZE64, size);
        return size.get(JAVA_LONG, 0);
    }
}
