package org.kaval.memory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.linux.HostUnsupportedException;

class BackingTest {
    private static final int PAGE = 4096;
    private static final long TIB = 1L << 40;
    private static final List<GuestRange> TWO_REGIONS =
            List.of(new GuestRange(0, 2 * PAGE), new GuestRange(0x10000, PAGE));

    @TempDir private Path directory = Path.of("");

    @ParameterizedTest
    @MethodSource("kinds")
    void everyKindIsZeroedMemoryThatKeepsWhatIsWritten(Backing backing) throws IOException {
        try (GuestMemory memory = GuestMemory.allocate(TWO_REGIONS, backing)) {
            assertEquals(0, memory.readLe64(0x1000));
            assertEquals(0, memory.readLe64(0x10000));

            memory.writeLe64(0x1000, -2);
            memory.writeLe64(0x10000, -3);

            assertEquals(-2, memory.readLe64(0x1000));
            assertEquals(-3, memory.readLe64(0x10000));
        }
    }

    private static Stream<Backing> kinds() {
        return Stream.of(
                Backing.anonymous(),
                new Backing.Anonymous(true),
                new Backing.Anonymous(false),
                new Backing.Memfd());
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void memoryIsCommittedOnlyWhereItIsTouched(Backing backing) throws IOException {
        long before = residentMebibytes();

        try (GuestMemory memory = GuestMemory.allocate(List.of(new GuestRange(0, TIB)), backing)) {
            memory.writeByte(TIB - 1, 7);

            assertEquals(7, memory.readByte(TIB - 1));
            assertEquals(0, memory.readByte(TIB / 2));
            // two huge pages, and what the JVM itself did meanwhile
            long grown = residentMebibytes() - before;
            assertTrue(grown < 512, () -> "grown by %d MiB".formatted(grown));
        }
    }

    @Test
    void memfdIsSharedMemoryUntilItIsClosed() throws IOException {
        GuestMemory memory = GuestMemory.allocate(TWO_REGIONS, new Backing.Memfd());

        List<String> whileOpen = mappings("memfd:guest memory");
        memory.close();
        List<String> afterwards = mappings("memfd:guest memory");

        assertEquals(2, whileOpen.size());
        assertTrue(
                whileOpen.stream().allMatch(line -> line.contains(" rw-s ")), whileOpen::toString);
        assertEquals(List.of(), afterwards);
    }

    @Test
    void privateFileIsSeenByTheGuestAndSeesNoWrites() throws IOException {
        Path file = fileOfPages(3);
        byte[] content = Files.readAllBytes(file);

        try (GuestMemory memory =
                GuestMemory.allocate(TWO_REGIONS, new Backing.PrivateFile(file, 0))) {
            assertEquals(1, memory.readByte(0));
            assertEquals(2, memory.readByte(PAGE));
            assertEquals(3, memory.readByte(0x10000)); // the regions follow one another

            memory.write(0, new byte[2 * PAGE]);

            assertEquals(0, memory.readByte(PAGE));
        }
        assertArrayEquals(content, Files.readAllBytes(file));
    }

    @Test
    void privateFileIsMappedFromItsOffset() throws IOException {
        Path file = fileOfPages(5);

        try (GuestMemory memory =
                GuestMemory.allocate(TWO_REGIONS, new Backing.PrivateFile(file, 2 * PAGE))) {
            assertEquals(3, memory.readByte(0));
            assertEquals(4, memory.readByte(PAGE));
            assertEquals(5, memory.readByte(0x10000));
        }
    }

    @Test
    void privateFileMayBeReadOnly() throws IOException {
        Path file = fileOfPages(3);
        assertTrue(file.toFile().setReadOnly());

        try (GuestMemory memory =
                GuestMemory.allocate(TWO_REGIONS, new Backing.PrivateFile(file, 0))) {
            memory.writeByte(0, 9);

            assertEquals(9, memory.readByte(0));
        }
    }

    @ParameterizedTest
    @CsvSource({
        // pages in the file, offset
        "0, 0",
        "2, 0",
        "3, 4096",
        "3, 4611686018427387904",
        "3, 9223372036854771712",
        "3, -4096",
    })
    void privateFileThatIsTooShortIsRefused(int pages, long offset) throws IOException {
        Path file = fileOfPages(pages);

        var refusal =
                assertThrows(
                        IOException.class,
                        () ->
                                GuestMemory.allocate(
                                        TWO_REGIONS, new Backing.PrivateFile(file, offset)));

        assertEquals(
                "%s: 0x3000 bytes are needed from offset 0x%x on, and it has 0x%x in all"
                        .formatted(file, offset, pages * PAGE),
                refusal.getMessage());
        assertEquals(List.of(), mappings(file.toString()));
    }

    @Test
    void privateFileThatIsOneByteTooShortIsRefused() throws IOException {
        Path file = Files.write(directory.resolve("short"), new byte[3 * PAGE - 1]);

        assertThrows(
                IOException.class,
                () -> GuestMemory.allocate(TWO_REGIONS, new Backing.PrivateFile(file, 0)));
    }

    @Test
    void privateFileThatIsMissingIsNamed() {
        Path file = directory.resolve("missing");

        var refusal =
                assertThrows(
                        NoSuchFileException.class,
                        () -> GuestMemory.allocate(TWO_REGIONS, new Backing.PrivateFile(file, 0)));

        assertEquals(file.toString(), refusal.getFile());
    }

    /// More huge pages than any pool has: the memory is reserved when it is mapped, so that the
    /// lack shows at once and not when the guest touches it.
    @Test
    void hugePagesThatThePoolLacksAreRefusedWithTheRemedy() throws IOException {
        HostMemory host = HostMemory.read();
        var ranges = List.of(new GuestRange(0, TIB), new GuestRange(2 * TIB, TIB));

        var refusal =
                assertThrows(
                        HostUnsupportedException.class,
                        () -> GuestMemory.allocate(ranges, new Backing.HugePages()));

        long pages = 2 * TIB / Math.max(1, host.hugePageSize());
        String message =
                "%d huge pages of %d KiB are needed and %d are free; 'sudo sysctl vm.nr_hugepages=N' makes more"
                        .formatted(pages, host.hugePageSize() / 1024, host.freeHugePages());
        assertEquals(orNone(host, message), refusal.getMessage());
        assertEquals(List.of(), mappings("memfd:guest memory"));
    }

    @Test
    void partsOfHugePagesAreRefused() throws IOException {
        HostMemory host = HostMemory.read();
        var ranges = List.of(new GuestRange(0, host.hugePageSize() + PAGE));

        var refusal =
                assertThrows(
                        HostUnsupportedException.class,
                        () -> GuestMemory.allocate(ranges, new Backing.HugePages()));

        String message =
                "memory in huge pages must be a multiple of %d KiB"
                        .formatted(host.hugePageSize() / 1024);
        assertEquals(orNone(host, message), refusal.getMessage());
    }

    /// What the refusal says on `host`, which may have no huge pages at all.
    private static String orNone(HostMemory host, String message) {
        return host.hugePageSize() == 0 ? "the kernel has no huge pages" : message;
    }

    /// Page `i`, from 0, holds the byte `i + 1`.
    private Path fileOfPages(int pages) throws IOException {
        var bytes = new byte[pages * PAGE];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (i / PAGE + 1);
        }
        return Files.write(directory.resolve("memory"), bytes);
    }

    private static List<String> mappings(String of) throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"))) {
            return lines.filter(line -> line.contains(of)).toList();
        }
    }

    private static long residentMebibytes() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
            return lines.filter(line -> line.startsWith("VmRSS:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) / 1024)
                    .sum();
        }
    }
}
