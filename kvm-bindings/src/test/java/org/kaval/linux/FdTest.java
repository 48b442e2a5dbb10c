package org.kaval.linux;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FdTest {
    @TempDir private Path directory = Path.of("");

    @Test
    void missingFileIsEnoent() {
        Path missing = directory.resolve("x");
        var refused =
                assertThrows(ErrnoException.class, () -> Fd.open(missing, Fd.Access.READ).close());
        assertEquals("openat on %s: ENOENT".formatted(missing), refused.getMessage());
    }

    @Test
    void directoryCannotBeOpenedForWriting() {
        var refused =
                assertThrows(
                        ErrnoException.class, () -> Fd.open(directory, Fd.Access.WRITE).close());
        assertEquals("openat on %s: EISDIR".formatted(directory), refused.getMessage());
    }

    @Test
    void readsUpToTheEnd() throws Exception {
        Path file = Files.writeString(directory.resolve("file"), "abcde");
        var buffer = new byte[3];
        try (Fd fd = Fd.open(file, Fd.Access.READ)) {
            assertEquals(3, fd.read(buffer));
            assertArrayEquals("abc".getBytes(US_ASCII), buffer);
            assertEquals(2, fd.read(buffer));
            assertArrayEquals("de".getBytes(US_ASCII), Arrays.copyOf(buffer, 2));
            assertEquals(0, fd.read(buffer));
        }
    }

    @Test
    void nothingThereYetIsMinusOne() throws Exception {
        try (EventFd event = EventFd.create("event")) {
            assertEquals(-1, event.fd().read(new byte[8]));
        }
    }

    @Test
    void refusedReadNamesTheFile() throws Exception {
        Path file = Files.createFile(directory.resolve("file"));
        try (Fd fd = Fd.open(file, Fd.Access.WRITE)) {
            var refused = assertThrows(ErrnoException.class, () -> fd.read(new byte[1]));
            assertEquals("read on %s: EBADF".formatted(file), refused.getMessage());
        }
    }

    @Test
    void closedDescriptorHasNoNumber() throws Exception {
        Fd fd = Fd.open(Path.of("/dev/null"), Fd.Access.READ_WRITE);
        fd.close();
        var closed = assertThrows(IllegalStateException.class, fd::number);
        assertEquals("/dev/null is closed", closed.getMessage());
        assertThrows(IllegalStateException.class, () -> fd.read(new byte[1]));
        assertThrows(IllegalStateException.class, () -> fd.tryIoctl(0, 0));
    }

    @Test
    void secondCloseLeavesTheNextOwnerAlone() throws Exception {
        Path file = Files.createFile(directory.resolve("file"));
        Fd first = Fd.open(file, Fd.Access.READ);
        first.close();
        try (Fd second = Fd.open(file, Fd.Access.READ)) { // the kernel gives the lowest free number
            first.close();
            assertEquals(0, second.read(new byte[1]));
        }
        assertFalse(Host.descriptors().contains(file.toString()));
    }

    @Test
    void nameIsWhatItWasOpenedAs() throws Exception {
        try (Fd fd = Fd.open(Path.of("/dev/null"), Fd.Access.READ)) {
            assertEquals("/dev/null", fd.name());
            assertEquals("/dev/null", fd.toString());
        }
    }

    @Test
    void standardInputIsDuplicated() throws Exception {
        try (Fd fd = Fd.duplicateOfStandardInput()) {
            assertTrue(fd.number() > 2);
            assertEquals(
                    Files.readSymbolicLink(Path.of("/proc/self/fd/0")),
                    Files.readSymbolicLink(Path.of("/proc/self/fd/" + fd.number())));
        }
        assertTrue(
                Files.exists(Path.of("/proc/self/fd/0"), java.nio.file.LinkOption.NOFOLLOW_LINKS));
    }

    @Test
    void descriptorsAreNotInheritedByPrograms() throws Exception {
        Path file = Files.createFile(directory.resolve("file"));
        try (Fd fd = Fd.open(file, Fd.Access.READ)) {
            // bit 02000000 of the flags is O_CLOEXEC (proc(5), /proc/pid/fdinfo)
            String flags = Files.readAllLines(Path.of("/proc/self/fdinfo/" + fd.number())).get(1);
            assertEquals("flags:\t02100000", flags); // 0100000 is O_LARGEFILE
        }
    }

    @Test
    void ioctlThatTheFileDoesNotKnowNamesOperationAndFile() throws Exception {
        try (Fd fd = Fd.open(Path.of("/dev/null"), Fd.Access.READ)) {
            var refused =
                    assertThrows(ErrnoException.class, () -> fd.ioctl("KVM_CREATE_VM", 0xae01, 0));
            assertEquals("KVM_CREATE_VM on /dev/null: ENOTTY", refused.getMessage());
            assertEquals(-25, fd.tryIoctl(0xae01, 0)); // ENOTTY
        }
    }
}
