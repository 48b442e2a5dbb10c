package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What {@link Fd} does with files that disks are made of.
class FdFileTest {
    private static final int PAGE = 4096;

    @TempDir private Path directory = Path.of("");

    @Test
    void newFileMustNotExist() throws Exception {
        Path file = directory.resolve("file");
        Fd.open(file, Fd.Access.WRITE, Fd.Option.CREATE_NEW).close();
        var refused =
                assertThrows(
                        ErrnoException.class,
                        () -> Fd.open(file, Fd.Access.WRITE, Fd.Option.CREATE_NEW).close());
        assertEquals("openat on %s: EEXIST".formatted(file), refused.getMessage());
    }

    /// Which file systems can tell depends on the kernel.
    @Test
    void onlyWhatIsInThePageCacheIsReadNow() throws Exception {
        Path file = Files.write(directory.resolve("file"), new byte[] {1, 2, 3});
        try (Fd fd = Fd.open(file, Fd.Access.READ)) {
            MemorySegment into = Arena.ofAuto().allocate(3);
            IoVector vector = IoVector.of(into);
            try {
                assertEquals(3, fd.preadvNow(vector, 0, 3, 0));
                assertArrayEquals(new byte[] {1, 2, 3}, into.toArray(JAVA_BYTE));
                assertEquals(1, fd.preadvNow(vector, 1, 2, 2));
                assertEquals(0, fd.preadvNow(vector, 0, 3, 3));
            } catch (ErrnoException e) {
                assertEquals(Errno.EOPNOTSUPP, e.errno(), e.getMessage());
            }
        }
    }

    @Test
    void temporaryFileHasNoName() throws Exception {
        try (Fd fd = Fd.temporary(directory, "layer")) {
            assertEquals(3, fd.pwrite(bytes(1, 2, 3), 5));
            MemorySegment back = Arena.ofAuto().allocate(10);
            assertEquals(8, fd.pread(back, 0));
            assertArrayEquals(new byte[] {0, 0, 0, 0, 0, 1, 2, 3, 0, 0}, back.toArray(JAVA_BYTE));
            assertEquals("layer", fd.name());
            try (Stream<Path> files = Files.list(directory)) {
                assertEquals(0, files.count());
            }
        }
    }

    @Test
    void refusedAccessNamesCallAndFile() throws Exception {
        Path file = Files.createFile(directory.resolve("file"));
        IoVector vector = IoVector.of(bytes(1));
        try (Fd fd = Fd.open(file, Fd.Access.READ)) {
            assertRefused("pwritev on %s: EBADF", file, () -> fd.pwritev(vector, 0, 1, 0));
            assertRefused("pwrite on %s: EBADF", file, () -> fd.pwrite(bytes(1), 0));
            assertRefused("pread on %s: EINVAL", file, () -> fd.pread(bytes(1), -1));
            assertRefused("ftruncate on %s: EINVAL", file, () -> fd.ftruncate(5));
            assertRefused("FALLOC_FL_PUNCH_HOLE on %s: EBADF", file, () -> fd.punchHole(0, 1));
        }
    }

    @Test
    void sizeIsSetAndSeen() throws Exception {
        Path file = directory.resolve("file");
        try (Fd fd = Fd.open(file, Fd.Access.READ_WRITE, Fd.Option.CREATE_NEW)) {
            fd.ftruncate(10 * PAGE);
            fd.fdatasync();
            FileStatus status = FileStatus.of(fd);
            assertEquals(FileStatus.Kind.FILE, status.kind());
            assertEquals(10 * PAGE, status.size());
            assertEquals(0, status.allocated());
            assertEquals(Files.getAttribute(file, "unix:ino"), status.inode());
            assertEquals(Files.getAttribute(file, "unix:dev"), status.device());
        }
    }

    @Test
    void deviceThatIsNoDiskIsOther() throws Exception {
        try (Fd fd = Fd.open(Path.of("/dev/null"), Fd.Access.READ)) {
            assertEquals(FileStatus.Kind.OTHER, FileStatus.of(fd).kind());
        }
    }

    @Test
    void holesAreMadeAndFound() throws Exception {
        Path file = Files.write(directory.resolve("file"), new byte[4 * PAGE]);
        try (Fd fd = Fd.open(file, Fd.Access.READ_WRITE)) {
            fd.pwrite(bytes(7), PAGE);
            assertEquals(0, fd.seekData(0));
            assertTrue(fd.punchHole(PAGE, 2 * PAGE));
            assertEquals(PAGE, fd.seekHole(0));
            assertEquals(3 * PAGE, fd.seekData(PAGE));
            assertEquals(4 * PAGE, fd.seekHole(3 * PAGE));
            assertEquals(-1, fd.seekData(4 * PAGE));
            assertEquals(4 * PAGE, FileStatus.of(fd).size());
            assertArrayEquals(new byte[4 * PAGE], Files.readAllBytes(file));
        }
    }

    @Test
    void rangeIsMadeZeroWhereTheFileCan() throws Exception {
        Path file = Files.write(directory.resolve("file"), new byte[] {1, 2, 3, 4});
        try (Fd fd = Fd.open(file, Fd.Access.READ_WRITE)) {
            boolean done = fd.zeroRange(1, 2);
            assertArrayEquals(
                    done ? new byte[] {1, 0, 0, 4} : new byte[] {1, 2, 3, 4},
                    Files.readAllBytes(file));
        }
        // a file in memory has no such operation, and says so
        try (Fd fd = Fd.memfd("memory", PAGE, false)) {
            assertFalse(fd.zeroRange(0, PAGE));
        }
    }

    @Test
    void directAccessIsAligned() throws Exception {
        Path file = Files.write(directory.resolve("file"), new byte[2 * PAGE]);
        MemorySegment aligned = Arena.ofAuto().allocate(2 * PAGE, PAGE);
        try (Fd fd = Fd.open(file, Fd.Access.READ, Fd.Option.DIRECT)) {
            assertEquals(PAGE, fd.pread(aligned.asSlice(0, PAGE), PAGE));
            assertRefused("pread on %s: EINVAL", file, () -> fd.pread(aligned.asSlice(0, PAGE), 1));
        }
    }

    private static void assertRefused(
            String message, Path file, org.junit.jupiter.api.function.Executable call) {
        var refused = assertThrows(ErrnoException.class, call);
        assertEquals(message.formatted(file), refused.getMessage());
    }

    private static MemorySegment bytes(int... values) {
        MemorySegment bytes = Arena.ofAuto().allocate(values.length);
        for (int i = 0; i < values.length; i++) {
            bytes.set(JAVA_BYTE, i, (byte) values[i]);
        }
        return bytes;
    }
}
