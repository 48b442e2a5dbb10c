package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.SortedSet;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.kvm.KvmDescriptorTable;
import org.kaval.machine.boot.FlatPayload.Mode;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.EntryState;

class FlatPayloadTest {
    private static final int MEMORY = 4 << 20;
    private static final int PAGE = 4096;
    private static final byte[] CODE = {(byte) 0xeb, (byte) 0xfe, 3};

    @TempDir private Path directory;
    private GuestMemory memory;

    @BeforeEach
    void allocate() throws IOException {
        memory = allocate(MEMORY);
    }

    private static GuestMemory allocate(long size) throws IOException {
        return GuestMemory.allocate(List.of(new GuestRange(0, size)), new Backing.Anonymous(false));
    }

    @AfterEach
    void free() {
        memory.close();
    }

    private byte[] read(long address, int length) {
        byte[] bytes = new byte[length];
        memory.read(address, bytes);
        return bytes;
    }

    /// The numbers of the pages that are not all zero.
    private SortedSet<Integer> usedPages() {
        var used = new TreeSet<Integer>();
        byte[] zeros = new byte[PAGE];
        for (int page = 0; page < MEMORY / PAGE; page++) {
            if (!java.util.Arrays.equals(zeros, read((long) page * PAGE, PAGE))) {
                used.add(page);
            }
        }
        return used;
    }

    @ParameterizedTest
    @CsvSource({"REAL16, 0x7c00", "PROTECTED32, 0x100000", "LONG64, 0x100000"})
    void isPutWhereItsModeSays(Mode mode, int address) throws IOException {
        FlatPayload.of(CODE, mode).load(BootContext.of(memory));

        assertEquals(address, mode.loadAddress());
        assertArrayEquals(CODE, read(address, CODE.length));
    }

    @ParameterizedTest
    @EnumSource(Mode.class)
    void fileIsPutWhereItsModeSays(Mode mode) throws IOException {
        Path file = Files.write(directory.resolve("payload"), CODE);

        FlatPayload.of(file, mode).load(BootContext.of(memory));

        assertArrayEquals(CODE, read(mode.loadAddress(), CODE.length));
    }

    @Test
    void codeIsCopied() throws IOException {
        byte[] code = CODE.clone();
        FlatPayload payload = FlatPayload.of(code, Mode.REAL16);
        code[0] = 0;

        payload.load(BootContext.of(memory));

        assertArrayEquals(CODE, read(0x7c00, CODE.length));
    }

    @Test
    void realModeEntersAtTheCodeAndUsesNothingElse() throws IOException {
        EntryState state = FlatPayload.of(CODE, Mode.REAL16).load(BootContext.of(memory));

        assertEquals(new EntryState.Real16(0x7c00, 0x7c00), state);
        assertEquals(new TreeSet<>(List.of(0x7)), usedPages());
    }

    @Test
    void protectedModeEntersAtTheCodeAndHasAGdt() throws IOException {
        EntryState state = FlatPayload.of(CODE, Mode.PROTECTED32).load(BootContext.of(memory));

        var gdt = new KvmDescriptorTable(0x500, 6 * 8 - 1);
        assertEquals(new EntryState.Protected32(0x10_0000, 0x7c00, gdt), state);
        assertEquals(new TreeSet<>(List.of(0, 0x100)), usedPages());
    }

    @Test
    void longModeEntersAtTheCodeAndHasGdtAndPageTables() throws IOException {
        EntryState state = FlatPayload.of(CODE, Mode.LONG64).load(BootContext.of(memory));

        var gdt = new KvmDescriptorTable(0x500, 6 * 8 - 1);
        assertEquals(new EntryState.Long64(0x10_0000, 0x7c00, gdt, 0x9000), state);
        assertEquals(new TreeSet<>(List.of(0, 0x9, 0xa, 0xb, 0xc, 0xd, 0xe, 0x100)), usedPages());
    }

    /// A segment descriptor, taken apart (Intel SDM vol. 3A §3.4.5).
    ///
    /// @param limit in bytes, the last one that is in it
    record Descriptor(
            long base,
            long limit,
            int type,
            boolean codeOrData,
            int privilege,
            boolean present,
            boolean longMode,
            boolean wide) {
        static Descriptor of(long bits) {
            long base = (bits >>> 16 & 0xff_ffff) | (bits >>> 56 & 0xff) << 24;
            long limit = (bits & 0xffff) | (bits >>> 48 & 0xf) << 16;
            boolean pages = (bits >>> 55 & 1) != 0;
            return new Descriptor(
                    base,
                    pages ? limit << 12 | 0xfff : limit,
                    (int) (bits >>> 40 & 0xf),
                    (bits >>> 44 & 1) != 0,
                    (int) (bits >>> 45 & 3),
                    (bits >>> 47 & 1) != 0,
                    (bits >>> 53 & 1) != 0,
                    (bits >>> 54 & 1) != 0);
        }
    }

    private Descriptor descriptor(int selector) {
        return Descriptor.of(memory.readLe64(0x500 + selector));
    }

    @ParameterizedTest
    @CsvSource({
        // selector, type, privilege, long mode, 32 bits
        "PROTECTED32, 0x10, 0xb, 0, false, true",
        "PROTECTED32, 0x18, 0x3, 0, false, true",
        "PROTECTED32, 0x20, 0x3, 3, false, true",
        "PROTECTED32, 0x28, 0xb, 3, false, true",
        "LONG64, 0x10, 0xb, 0, true, false",
        "LONG64, 0x18, 0x3, 0, false, true",
        "LONG64, 0x20, 0x3, 3, false, true",
        "LONG64, 0x28, 0xb, 3, true, false",
    })
    void gdtHasFlatSegments(
            Mode mode, int selector, int type, int privilege, boolean longMode, boolean wide)
            throws IOException {
        FlatPayload.of(CODE, mode).load(BootContext.of(memory));

        assertEquals(
                new Descriptor(0, 0xffff_ffffL, type, true, privilege, true, longMode, wide),
                descriptor(selector));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 8})
    void gdtBeginsWithEmptyDescriptors(int selector) throws IOException {
        FlatPayload.of(CODE, Mode.LONG64).load(BootContext.of(memory));

        assertEquals(0, memory.readLe64(0x500 + selector));
    }

    /// Walks four levels as the processor does (Intel SDM vol. 3A §4.5), for a write from ring 3.
    private OptionalLong translate(long root, long linear) {
        long table = root;
        for (int shift = 39; shift >= 12; shift -= 9) {
            long entry = memory.readLe64(table + (linear >>> shift & 0x1ff) * 8);
            boolean allowed = (entry & 7) == 7; // present, writable, user
            if (!allowed) {
                return OptionalLong.empty();
            }
            boolean large = (shift == 30 || shift == 21) && (entry & 0x80) != 0;
            long mask = large ? (1L << shift) - 1 : 0xfff;
            table = entry & 0x000f_ffff_ffff_f000L & ~mask;
            if (large || shift == 12) {
                return OptionalLong.of(table | (linear & mask));
            }
        }
        throw new AssertionError("not reached");
    }

    @ParameterizedTest
    @ValueSource(
            longs = {
                0,
                0x10_0000,
                0x1f_ffff, // the end of the first page
                0x20_0000,
                0x3fff_ffff, // the end of the first directory
                0x4000_0000,
                0x8012_3456L,
                0xc000_0000L,
                0xfee0_0000L,
                0xffff_ffffL, // the last byte
            })
    void firstFourGibAreMappedToThemselvesForRing3Too(long address) throws IOException {
        var state =
                (EntryState.Long64) FlatPayload.of(CODE, Mode.LONG64).load(BootContext.of(memory));

        assertEquals(OptionalLong.of(address), translate(state.pageTable(), address));
    }

    @ParameterizedTest
    @ValueSource(longs = {0x1_0000_0000L, 0x80_0000_0000L, 0x7fff_ffff_ffffL, 0x8000_0000_0000L})
    void nothingElseIsMapped(long address) throws IOException {
        var state =
                (EntryState.Long64) FlatPayload.of(CODE, Mode.LONG64).load(BootContext.of(memory));

        assertEquals(OptionalLong.empty(), translate(state.pageTable(), address));
    }

    @Test
    void everyLargePageIsMappedToItself() throws IOException {
        var state =
                (EntryState.Long64) FlatPayload.of(CODE, Mode.LONG64).load(BootContext.of(memory));

        assertEquals(List.of(), wronglyMapped(state.pageTable()));
    }

    private List<Long> wronglyMapped(long root) {
        return java.util.stream.LongStream.range(0, 2048)
                .map(page -> page << 21)
                .filter(address -> !translate(root, address).equals(OptionalLong.of(address)))
                .boxed()
                .toList();
    }

    @ParameterizedTest
    @EnumSource(Mode.class)
    void payloadThatJustFitsIsTaken(Mode mode) throws IOException {
        byte[] code = new byte[MEMORY - mode.loadAddress()];
        code[code.length - 1] = 7;

        FlatPayload.of(code, mode).load(BootContext.of(memory));

        assertEquals(7, memory.readByte(MEMORY - 1));
    }

    @ParameterizedTest
    @EnumSource(Mode.class)
    void payloadLargerThanTheMemoryIsRefused(Mode mode) {
        byte[] code = new byte[MEMORY - mode.loadAddress() + 1];

        var refused =
                assertThrows(
                        IOException.class,
                        () -> FlatPayload.of(code, mode).load(BootContext.of(memory)));

        assertEquals(
                "the payload: %d bytes at 0x%x do not fit into 4 MiB of memory"
                        .formatted(code.length, mode.loadAddress()),
                refused.getMessage());
    }

    @Test
    void emptyPayloadIsRefused() {
        var refused =
                assertThrows(
                        IOException.class,
                        () ->
                                FlatPayload.of(new byte[0], Mode.REAL16)
                                        .load(BootContext.of(memory)));

        assertEquals("the payload: empty", refused.getMessage());
    }

    private String refusal(Path file) {
        var payload = FlatPayload.of(file, Mode.LONG64);
        return String.valueOf(
                assertThrows(IOException.class, () -> payload.load(BootContext.of(memory)))
                        .getMessage());
    }

    @Test
    void missingFileIsRefused() {
        Path file = directory.resolve("none");

        assertEquals(file + ": no such file", refusal(file));
    }

    @Test
    void danglingLinkIsRefused() throws IOException {
        Path link = directory.resolve("link");
        Files.createSymbolicLink(link, directory.resolve("none"));

        assertEquals(link + ": no such file", refusal(link));
    }

    @Test
    void directoryIsRefused() {
        assertEquals(directory + ": not a regular file", refusal(directory));
    }

    @Test
    void endlessDeviceIsRefused() {
        assertEquals("/dev/zero: not a regular file", refusal(Path.of("/dev/zero")));
    }

    @Test
    void emptyFileIsRefused() throws IOException {
        Path file = Files.createFile(directory.resolve("empty"));

        assertEquals(file + ": empty", refusal(file));
    }

    @Test
    void fileLargerThanTheMemoryIsRefused() throws IOException {
        Path file = Files.write(directory.resolve("large"), new byte[MEMORY]);

        assertEquals(
                file + ": 4194304 bytes at 0x100000 do not fit into 4 MiB of memory",
                refusal(file));
    }

    private Path sparse(long length) throws IOException {
        Path path = directory.resolve("sparse");
        try (var file = new RandomAccessFile(path.toFile(), "rw")) {
            file.setLength(length);
        }
        return path;
    }

    @ParameterizedTest
    @ValueSource(longs = {(1L << 31) + 1, 1L << 32, 1L << 40})
    void hugeFileIsRefusedWithoutReadingIt(long length) throws IOException {
        Path file = sparse(length);

        assertEquals(
                "%s: %d bytes at 0x100000 do not fit into 4 MiB of memory".formatted(file, length),
                refusal(file));
    }

    /// It fits into the guest's memory, if not into an array: it is loaded, or refused in a line
    /// that names it.
    @Test
    void fileThatFitsTheMemoryAndNoArrayIsNoError() throws IOException {
        Path file = sparse((1L << 31) + 1);
        try (GuestMemory large = allocate(3L << 30)) {
            String refusal = refusalOrNothing(file, large);

            assertTrue(
                    refusal.isEmpty() || refusal.matches("\\Q%s\\E: .*".formatted(file)), refusal);
        }
    }

    private static String refusalOrNothing(Path file, GuestMemory into) {
        try {
            FlatPayload.of(file, Mode.LONG64).load(BootContext.of(into));
            return "";
        } catch (IOException e) {
            return String.valueOf(e.getMessage());
        } catch (OutOfMemoryError e) {
            return e.toString();
        }
    }

    @Test
    void filesAreClosed() throws IOException {
        Path good = Files.write(directory.resolve("payload"), CODE);
        Path bad = sparse(1L << 40);
        FlatPayload.of(good, Mode.LONG64).load(BootContext.of(memory));
        assertInstanceOf(String.class, refusal(bad));

        assertEquals(List.of(), openFilesIn(directory));
    }

    private static List<Path> openFilesIn(Path directory) throws IOException {
        try (var entries = Files.list(Path.of("/proc/self/fd"))) {
            return entries.map(FlatPayloadTest::target)
                    .filter(target -> target.startsWith(directory))
                    .toList();
        }
    }

    private static Path target(Path descriptor) {
        try {
            return Files.readSymbolicLink(descriptor);
        } catch (IOException e) {
            return Path.of("closed since it was listed");
        }
    }
}
