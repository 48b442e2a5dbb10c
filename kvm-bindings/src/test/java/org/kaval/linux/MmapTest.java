package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MmapTest {
    private static final long SIZE = 4 * Mmap.PAGE_SIZE;

    /// No x86-64 has this much address space.
    private static final long ABSURD = 1L << 62;

    @TempDir private Path directory = Path.of("");

    @Test
    void anonymousMemoryIsZeroedAndWritable() throws Exception {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = Mmap.anonymous(arena, SIZE);
            assertEquals(SIZE, memory.byteSize());
            assertEquals(0, memory.address() % Mmap.PAGE_SIZE);
            assertEquals(-1, memory.mismatch(Arena.ofAuto().allocate(SIZE)));
            memory.fill((byte) 0x5a);
            assertEquals(0x5a, memory.get(JAVA_BYTE, SIZE - 1));
        }
    }

    @Test
    void memoryIsReservedWithoutBeingThere() throws Exception {
        try (Arena arena = Arena.ofConfined()) { // 1 TiB, more than the host has
            assertEquals(1L << 40, Mmap.anonymous(arena, 1L << 40).byteSize());
        }
    }

    @Test
    void memoryGoesWithItsArena() throws Exception {
        MemorySegment memory;
        try (Arena arena = Arena.ofShared()) {
            memory = Mmap.memfd(arena, "kaval-gone", SIZE, false);
            assertEquals(1, Host.mappings("kaval-gone"));
        }
        assertEquals(0, Host.mappings("kaval-gone"));
        assertThrows(IllegalStateException.class, () -> memory.get(JAVA_BYTE, 0));
    }

    @Test
    void memfdIsZeroedAndKeepsNoDescriptor() throws Exception {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = Mmap.memfd(arena, "kaval-guest", SIZE, false);
            assertEquals(-1, memory.mismatch(Arena.ofAuto().allocate(SIZE)));
            memory.fill((byte) 1);
            assertEquals(1, Host.mappings("/memfd:kaval-guest"));
            assertEquals(0, descriptorsOf("memfd:kaval-guest"));
        }
    }

    @Test
    void privateFileIsSeenAndNotWritten() throws Exception {
        Path file = Files.write(directory.resolve("file"), pages("abc"));
        try (Fd fd = Fd.open(file, Fd.Access.READ);
                Arena arena = Arena.ofConfined()) {
            MemorySegment memory = Mmap.privateFile(arena, fd, Mmap.PAGE_SIZE, 2 * Mmap.PAGE_SIZE);
            assertEquals('b', memory.get(JAVA_BYTE, 0));
            assertEquals('c', memory.get(JAVA_BYTE, 2 * Mmap.PAGE_SIZE - 1));
            memory.set(JAVA_BYTE, 0, (byte) 'x');
            assertEquals('x', memory.get(JAVA_BYTE, 0));
            assertEquals('b', Files.readAllBytes(file)[(int) Mmap.PAGE_SIZE]);
        }
    }

    @Test
    void privateFileOutlivesItsDescriptor() throws Exception {
        Path file = Files.write(directory.resolve("file"), pages("a"));
        try (Arena arena = Arena.ofConfined()) {
            Fd fd = Fd.open(file, Fd.Access.READ);
            MemorySegment memory = Mmap.privateFile(arena, fd, 0, Mmap.PAGE_SIZE);
            fd.close();
            assertEquals('a', memory.get(JAVA_BYTE, 0));
        }
    }

    @Test
    void sharedFileIsWritten() throws Exception {
        Path file = Files.write(directory.resolve("file"), pages("a"));
        try (Fd fd = Fd.open(file, Fd.Access.READ_WRITE);
                Arena arena = Arena.ofConfined()) {
            Mmap.shared(arena, fd, 0, Mmap.PAGE_SIZE).set(JAVA_BYTE, 0, (byte) 'x');
            assertEquals('x', Files.readAllBytes(file)[0]);
        }
    }

    @Test
    void offsetInsideAPageIsRefused() throws Exception {
        Path file = Files.write(directory.resolve("file"), pages("ab"));
        try (Fd fd = Fd.open(file, Fd.Access.READ);
                Arena arena = Arena.ofConfined()) {
            var refused =
                    assertThrows(
                            ErrnoException.class,
                            () -> Mmap.privateFile(arena, fd, 1, Mmap.PAGE_SIZE));
            assertEquals("mmap on %s: EINVAL".formatted(file), refused.getMessage());
        }
    }

    @Test
    void emptyMappingIsRefused() {
        var refused = assertThrows(ErrnoException.class, () -> Mmap.anonymous(Arena.ofAuto(), 0));
        assertEquals("mmap on anonymous memory: EINVAL", refused.getMessage());
    }

    @Test
    void absurdSizeIsRefused() {
        var refused =
                assertThrows(ErrnoException.class, () -> Mmap.anonymous(Arena.ofAuto(), ABSURD));
        assertEquals("mmap on anonymous memory: ENOMEM", refused.getMessage());
    }

    @Test
    void refusedMemfdLeavesNothingBehind() throws Exception {
        var tooBig =
                assertThrows(
                        ErrnoException.class,
                        () -> Mmap.memfd(Arena.ofAuto(), "kaval-big", ABSURD, false));
        assertEquals(Errno.ENOMEM, tooBig.errno());
        var negative =
                assertThrows(
                        ErrnoException.class,
                        () -> Mmap.memfd(Arena.ofAuto(), "kaval-big", -1, false));
        assertEquals("ftruncate on kaval-big: EINVAL", negative.getMessage());
        assertEquals(0, descriptorsOf("kaval-big"));
    }

    @Test
    void hugePagesBeyondThePoolAreRefusedAtOnce() throws Exception {
        var refused =
                assertThrows(
                        ErrnoException.class, // 1 TiB
                        () -> Mmap.memfd(Arena.ofAuto(), "kaval-huge", 1L << 40, true));
        assertEquals("mmap on kaval-huge: ENOMEM", refused.getMessage());
        assertEquals(0, descriptorsOf("kaval-huge"));
    }

    @Test
    void adviceIsTaken() throws Exception {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = Mmap.anonymous(arena, 2 << 20);
            Mmap.adviseHugePages(memory);
            Mmap.adviseDontDump(memory);
        }
    }

    @Test
    void adviceOnUnmappedMemoryIsRefused() {
        MemorySegment unmapped = MemorySegment.ofAddress(Mmap.PAGE_SIZE).reinterpret(4096);
        var refused = assertThrows(ErrnoException.class, () -> Mmap.adviseDontDump(unmapped));
        assertEquals("MADV_DONTDUMP on memory: ENOMEM", refused.getMessage());
    }

    private static byte[] pages(String fill) {
        var bytes = new byte[(int) (fill.length() * Mmap.PAGE_SIZE)];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) fill.charAt((int) (i / Mmap.PAGE_SIZE));
        }
        return bytes;
    }

    private static long descriptorsOf(String name) throws Exception {
        return Host.descriptors().stream().filter(target -> target.contains(name)).count();
    }
}
