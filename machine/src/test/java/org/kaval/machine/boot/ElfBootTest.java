package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.kvm.KvmDescriptorTable;
import org.kaval.machine.boot.EntryStates.Summary;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.EntryState;

/// ELF kernels without and with PVH: where their segments go, how they are entered, and what is
/// wrong with others.
class ElfBootTest {
    private static final int MEBIBYTE = 1 << 20;
    private static final byte[] CODE = {1, 2, 3, 4, 5};

    @TempDir private Path directory;
    private BootMachine machine;

    @BeforeEach
    void make() throws IOException {
        machine = BootMachine.of(64 * MEBIBYTE);
    }

    @AfterEach
    void free() {
        machine.close();
    }

    private void remake(BootMachine other) {
        machine.close();
        machine = other;
    }

    private static ElfBuilder elf64() {
        return ElfBuilder.elf64().entry(MEBIBYTE).load(MEBIBYTE, CODE);
    }

    private static ElfBuilder elf32() {
        return ElfBuilder.elf32().entry(MEBIBYTE).load(MEBIBYTE, CODE);
    }

    private EntryState load(ElfBuilder elf) throws IOException {
        return machine.load(KernelBoot.of(elf.write(directory)));
    }

    private String refusal(ElfBuilder elf, long offset) throws IOException {
        Path file = elf.write(directory);
        return machine.refusal(KernelBoot.of(file), file, offset);
    }

    private String refusal(byte[] elf, long offset) throws IOException {
        Path file = Files.write(directory.resolve("changed.elf"), elf);
        return machine.refusal(KernelBoot.of(file), file, offset);
    }

    private static byte[] changed(ElfBuilder elf, int offset, int value) {
        byte[] bytes = elf.build();
        bytes[offset] = (byte) value;
        return bytes;
    }

    /// Offset of program header `index` in a 64-bit file.
    private static long header(int index) {
        return 64 + index * 56L;
    }

    @Test
    void elf64IsEnteredInLongModeWithTheZeroPage() throws IOException {
        EntryState entry = load(elf64());

        assertEquals(
                new EntryState.Long64(
                        MEBIBYTE,
                        0x9000,
                        new KvmDescriptorTable(0x500, 0x2f),
                        0x9000,
                        new EntryState.Arguments(0, 0, 0x7000)),
                entry);
        assertArrayEquals(CODE, machine.read(MEBIBYTE, CODE.length));
    }

    @Test
    void elf32IsEnteredInProtectedModeWithTheZeroPage() throws IOException {
        EntryState entry = load(elf32());

        assertEquals(
                new EntryState.Protected32(
                        MEBIBYTE,
                        0x9000,
                        new KvmDescriptorTable(0x500, 0x2f),
                        new EntryState.Arguments(0, 0, 0x7000)),
                entry);
        assertArrayEquals(CODE, machine.read(MEBIBYTE, CODE.length));
    }

    @Test
    void zeroPageOfAnElfHasAHeaderOfItsOwn() throws IOException {
        Path initrd = Files.write(directory.resolve("initrd"), CODE);

        machine.load(KernelBoot.of(elf64().write(directory)).initrd(initrd).commandLine("a b"));

        assertEquals(0xaa55, machine.memory.readLe16(0x71fe));
        assertEquals(0x5372_6448, machine.memory.readLe32(0x7202));
        assertEquals(0x20c, machine.memory.readLe16(0x7206));
        assertEquals(0xff, machine.memory.readByte(0x7210));
        assertEquals(64 * MEBIBYTE - 4096, machine.memory.readLe32(0x7218));
        assertEquals(CODE.length, machine.memory.readLe32(0x721c));
        assertEquals("a b", machine.text(machine.memory.readLe32(0x7228)));
        assertEquals(3, machine.memory.readByte(0x71e8));
        assertEquals(0xf000, machine.memory.readLe64(0x7250));
    }

    @Test
    void memoryBehindASegmentsBytesIsZeroAndTaken() throws IOException {
        Path initrd = Files.write(directory.resolve("initrd"), CODE);
        ElfBuilder elf =
                ElfBuilder.elf64()
                        .entry(MEBIBYTE)
                        .load(MEBIBYTE, MEBIBYTE, CODE, 63 * MEBIBYTE - 0x2000);

        machine.load(KernelBoot.of(elf.write(directory)).initrd(initrd));

        assertEquals(0, machine.memory.readByte(MEBIBYTE + CODE.length));
        assertEquals(64 * MEBIBYTE - 4096, machine.memory.readLe32(0x7218));
    }

    @Test
    void initrdThatHasNoRoomBesideTheSegmentsIsRefused() throws IOException {
        Path initrd = Files.write(directory.resolve("initrd"), CODE);
        ElfBuilder elf =
                ElfBuilder.elf64().entry(MEBIBYTE).load(MEBIBYTE, MEBIBYTE, CODE, 63 * MEBIBYTE);

        assertEquals(
                "the initrd has 5 bytes, expected at most the 0 that are free where it may be",
                machine.refusal(KernelBoot.of(elf.write(directory)).initrd(initrd), initrd, 0));
    }

    @Test
    void virtualEntryIsMadePhysical() throws IOException {
        ElfBuilder elf =
                ElfBuilder.elf64()
                        .entry(0xffff_ffff_8010_0003L)
                        .load(0xffff_ffff_8010_0000L, 2 * MEBIBYTE, CODE, 0x1000);

        assertEquals(new Summary("long", 2 * MEBIBYTE + 3, 0x7000), EntryStates.summary(load(elf)));
    }

    @Test
    void segmentsMayLieBelowOneMib() throws IOException {
        assertEquals(
                new Summary("long", 0x3_0000, 0x7000),
                EntryStates.summary(load(ElfBuilder.elf64().entry(0x3_0000).load(0x3_0000, CODE))));
    }

    @Test
    void emptySegmentsAreIgnored() throws IOException {
        load(elf64().load(-1, -1, new byte[0], 0));

        assertArrayEquals(CODE, machine.read(MEBIBYTE, CODE.length));
    }

    @ParameterizedTest
    @ValueSource(longs = {0x10_0005, 0xf_ffff, 0, -1, Long.MIN_VALUE})
    void entryOutsideTheSegmentsIsRefused(long entry) throws IOException {
        assertEquals(
                "entry 0x%x, expected an address in a loaded segment".formatted(entry),
                refusal(elf64().entry(entry), 24));
    }

    @Test
    void overlappingSegmentsAreRefused() throws IOException {
        assertEquals(
                "segment 1 is at 0x100004+0x5, expected one that does not overlap segment 0 at"
                        + " 0x100000+0x5",
                refusal(elf64().load(MEBIBYTE + 4, CODE), header(1)));
    }

    @Test
    void overlappingSegmentsAreRefusedInAnyOrder() throws IOException {
        long below = 2 * MEBIBYTE - 0x1000;

        assertEquals(
                "segment 0 is at 0x200000+0x5, expected one that does not overlap segment 2 at"
                        + " 0x1ff000+0x1001",
                refusal(
                        ElfBuilder.elf64()
                                .load(2 * MEBIBYTE, CODE)
                                .load(4 * MEBIBYTE, CODE)
                                .load(below, below, CODE, 0x1001),
                        header(0)));
    }

    @Test
    void neighbouringSegmentsAreTaken() throws IOException {
        load(elf64().load(MEBIBYTE + CODE.length, CODE));

        assertArrayEquals(CODE, machine.read(MEBIBYTE + CODE.length, CODE.length));
    }

    @ParameterizedTest
    @CsvSource({
        "4000000, 1", // behind the end
        "3ffffff, 2", // across it
        "ffffffffffffffff, 1",
        "100000, 8000000000000000",
        "100000, ffffffffffffffff",
        "ffffffff, 1",
    })
    void segmentOutsideRamIsRefused(String address, String size) throws IOException {
        long base = Long.parseUnsignedLong(address, 16);
        long length = Long.parseUnsignedLong(size, 16);

        assertEquals(
                "segment 1 is at 0x%s+0x%s, expected an address in the RAM below 4 GiB"
                        .formatted(address, size),
                refusal(elf64().load(base, base, new byte[0], length), header(1)));
    }

    @Test
    void segmentAboveFourGibIsRefused() throws IOException {
        remake(
                BootMachine.of(
                        0,
                        List.of(
                                new GuestRange(0, 4 * MEBIBYTE),
                                new GuestRange(4L << 30, MEBIBYTE))));

        assertEquals(
                "segment 1 is at 0x100000000+0x5, expected an address in the RAM below 4 GiB",
                refusal(elf64().load(4L << 30, CODE), header(1)));
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 0x7fff, 0x2_ffff, 0x9_fbff, 0xa_0000, 0xf_ffff})
    void segmentInTheLayoutOrTheLegacyHoleIsRefused(long address) throws IOException {
        assertEquals(
                "segment 0 is at 0x%x+0x5, expected an address in free memory: 0x0-0x2ffff and what the machine reserves are taken"
                        .formatted(address),
                refusal(ElfBuilder.elf64().entry(address).load(address, CODE), header(0)));
    }

    @Test
    void segmentInReservedMemoryIsRefused() throws IOException {
        var tables =
                new MemoryMap.Entry(
                        new GuestRange(MEBIBYTE, 0x1000), MemoryMap.Type.ACPI_RECLAIMABLE);
        remake(BootMachine.of(0, List.of(new GuestRange(0, 4 * MEBIBYTE)), tables));

        assertEquals(
                "segment 0 is at 0x100000+0x5, expected an address in free memory: 0x0-0x2ffff and what the machine reserves are taken",
                refusal(elf64(), header(0)));
    }

    @Test
    void segmentLargerInTheFileThanInMemoryIsRefused() throws IOException {
        assertEquals(
                "segment 0 has 0x5 bytes in the file, expected at most its 0x4 in memory",
                refusal(ElfBuilder.elf64().load(MEBIBYTE, MEBIBYTE, CODE, 4), header(0)));
    }

    @Test
    void kernelWithoutSegmentsIsRefused() throws IOException {
        assertEquals("no segments to load, expected at least one", refusal(ElfBuilder.elf64(), 32));
        assertEquals("no segments to load, expected at least one", refusal(ElfBuilder.elf32(), 28));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "4  | 3   | ELF class 3, expected 1 (32 bits) or 2 (64 bits)",
                "5  | 2   | ELF byte order 2, expected 1 (little-endian)",
                "6  | 0   | ELF version 0, expected 1",
                "16 | 1   | ELF type 1, expected 2 (executable) or 3 (shared)",
                "18 | 183 | ELF machine 183, expected 62 (x86 of 64 bits)",
                "54 | 32  | program headers of 32 bytes, expected 56",
            })
    void wrongHeaderIsRefused(int offset, int value, String problem) throws IOException {
        assertEquals(problem, refusal(changed(elf64(), offset, value), offset));
    }

    @Test
    void elf32OfAnotherMachineIsRefused() throws IOException {
        assertEquals(
                "ELF machine 62, expected 3 (x86 of 32 bits)",
                refusal(changed(elf32(), 18, 62), 18));
    }

    @Test
    void programHeadersOutsideTheFileAreRefused() throws IOException {
        assertEquals(
                "the file ends at 0x1005, expected 0x38 bytes of program headers at 0x7f00000000000040",
                refusal(changed(elf64(), 39, 0x7f), 0x1005));
    }

    @Test
    void segmentOutsideTheFileIsRefused() throws IOException {
        assertEquals(
                "segment 0 has 0x5 bytes at 0x1f00, expected them before the file's end at 0x1005",
                refusal(changed(elf64(), 64 + 8 + 1, 0x1f), header(0)).replace("0x1f00", "0x1f00"));
    }

    @Test
    void mostProgramHeadersAreRead() throws IOException {
        ElfBuilder elf = elf64();
        for (int i = 1; i < 70; i++) {
            elf.load(MEBIBYTE + i * 16L, CODE);
        }

        load(elf);

        assertArrayEquals(CODE, machine.read(MEBIBYTE + 69 * 16, CODE.length));
    }
}
