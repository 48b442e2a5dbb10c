package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.kvm.KvmDescriptorTable;
import org.kaval.machine.boot.EntryStates.Summary;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.EntryState;

/// The Multiboot header and what the kernel is told (Multiboot Specification 0.6.96 §3).
class MultibootTest {
    private static final int MEBIBYTE = 1 << 20;
    private static final int INFO = 0x6000;
    private static final byte[] CODE = {1, 2, 3, 4, 5, 6, 7, 8};
    private static final Summary ELF = new Summary("long", 2 * MEBIBYTE, 0x7000);
    private static final Summary MULTIBOOT = new Summary("protected", 2 * MEBIBYTE, INFO);

    @TempDir private Path directory;
    private final MultibootBuilder kernel = new MultibootBuilder().code(CODE);
    private BootMachine machine;

    @BeforeEach
    void make() throws IOException {
        machine = BootMachine.of(64 * MEBIBYTE);
    }

    @AfterEach
    void free() {
        machine.close();
    }

    private EntryState load() throws IOException {
        return machine.load(KernelBoot.of(kernel.write(directory)));
    }

    private String refusal(long offset) throws IOException {
        Path file = kernel.write(directory);
        return machine.refusal(KernelBoot.of(file), file, offset);
    }

    private int info(int offset) {
        return machine.memory.readLe32(INFO + offset);
    }

    /// An ELF file whose first segment begins with a Multiboot header.
    private byte[] elf(ElfBuilder builder) {
        return builder.entry(2 * MEBIBYTE)
                .load(2 * MEBIBYTE, new MultibootBuilder().flags(3).header())
                .build();
    }

    private Summary load(byte[] file) throws IOException {
        Path path = Files.write(directory.resolve("elf"), file);
        return EntryStates.summary(machine.load(KernelBoot.of(path)));
    }

    @Test
    void kernelIsEnteredInProtectedModeWithItsMagicNumber() throws IOException {
        EntryState entry = load();

        assertEquals(
                new EntryState.Protected32(
                        MEBIBYTE + 0x30,
                        0x9000,
                        new KvmDescriptorTable(0x500, 0x2f),
                        new EntryState.Arguments(0x2bad_b002, INFO, 0)),
                entry);
        assertArrayEquals(kernel.build(), machine.read(MEBIBYTE, kernel.build().length));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 4, 0x1000, 8192 - 32})
    void headerIsFoundInTheFirst8192Bytes(int offset) throws IOException {
        kernel.at(offset);

        assertEquals(
                new Summary("protected", MEBIBYTE + offset + 32, INFO),
                EntryStates.summary(load()));
    }

    @Test
    void headerBehindThemIsNot() throws IOException {
        kernel.at(8192 - 8);

        assertEquals(
                "no known format, expected a Linux bzImage, an ELF kernel or a Multiboot kernel",
                refusal(0));
    }

    @Test
    void headerWhoseAddressesAreBehindThemIsRefused() throws IOException {
        kernel.at(8192 - 28);

        assertEquals(
                "a Multiboot header of 28 bytes, expected 32 before 0x2000", refusal(8192 - 28));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 5})
    void headerThatIsNotAlignedIsNone(int offset) throws IOException {
        kernel.at(offset);

        assertEquals(
                "no known format, expected a Linux bzImage, an ELF kernel or a Multiboot kernel",
                refusal(0));
    }

    @Test
    void headerWithAWrongSumIsNone() throws IOException {
        byte[] bytes = kernel.build();
        bytes[MultibootBuilder.HEADER + 8]++;
        Path file = Files.write(directory.resolve("kernel"), bytes);

        assertEquals(
                "no known format, expected a Linux bzImage, an ELF kernel or a Multiboot kernel",
                machine.refusal(KernelBoot.of(file), file, 0));
    }

    @Test
    void kernelBeginsAtItsLoadAddress() throws IOException {
        kernel.loadAddress(MEBIBYTE + 4);

        load();

        byte[] expected = Arrays.copyOfRange(kernel.build(), 4, kernel.build().length);
        assertArrayEquals(expected, machine.read(MEBIBYTE + 4, expected.length));
        assertEquals(0, machine.memory.readLe32(MEBIBYTE));
    }

    @Test
    void kernelEndsAtItsLoadEnd() throws IOException {
        kernel.loadEnd(MEBIBYTE + MultibootBuilder.CODE + 3);

        load();

        assertArrayEquals(
                new byte[] {1, 2, 3, 0, 0}, machine.read(MEBIBYTE + MultibootBuilder.CODE, 5));
    }

    @Test
    void memoryToTheEndOfItsZerosIsTheKernels() throws IOException {
        kernel.bssEnd(64L * MEBIBYTE);
        Path initrd = Files.write(directory.resolve("initrd"), CODE);
        KernelBoot boot = KernelBoot.of(kernel.write(directory)).initrd(initrd);

        assertEquals(
                "the initrd has 8 bytes, expected at most the 0 that are free where it may be",
                machine.refusal(boot, initrd, 0));
    }

    @Test
    void informationSaysWhatThereIs() throws IOException {
        machine.load(KernelBoot.of(kernel.write(directory)).commandLine("a=b"));

        assertEquals(0b10_0100_1101, info(0));
        assertEquals(639, info(4)); // KiB up to 0x9fc00
        assertEquals(63 << 10, info(8)); // KiB from 1 MiB
        assertEquals("a=b", machine.text(info(16)));
        assertEquals(0, info(20)); // modules
        assertEquals(0, info(28)); // symbols
        assertEquals("Kaval", machine.text(info(64)));
    }

    @Test
    void memoryMapIsThatOfTheMachine() throws IOException {
        load();

        assertEquals(3 * 24, info(44));
        long map = info(48);
        assertEquals(
                List.of(20, 20, 20),
                IntStream.range(0, 3)
                        .mapToObj(i -> machine.memory.readLe32(map + i * 24L))
                        .toList());
        assertEquals(0x9_fc00, machine.memory.readLe64(map + 12));
        assertEquals(2, machine.memory.readLe32(map + 24 + 20));
        assertEquals(MEBIBYTE, machine.memory.readLe64(map + 48 + 4));
        assertEquals(63 * MEBIBYTE, machine.memory.readLe64(map + 48 + 12));
        assertEquals(1, machine.memory.readLe32(map + 48 + 20));
    }

    @Test
    void upperMemoryEndsAtTheFirstGap() throws IOException {
        machine.close();
        var gap =
                new MemoryMap.Entry(
                        new GuestRange(16 * MEBIBYTE, 4096), MemoryMap.Type.ACPI_RECLAIMABLE);
        machine = BootMachine.of(0, List.of(new GuestRange(0, 64 * MEBIBYTE)), gap);

        load();

        assertEquals(15 << 10, info(8));
    }

    @Test
    void initrdIsAModuleAtAWholePage() throws IOException {
        Path initrd = Files.write(directory.resolve("initrd"), CODE);

        machine.load(KernelBoot.of(kernel.write(directory)).initrd(initrd));

        assertEquals(1, info(20));
        long module = info(24);
        assertEquals(64 * MEBIBYTE - 4096, machine.memory.readLe32(module));
        assertEquals(64 * MEBIBYTE - 4096 + CODE.length, machine.memory.readLe32(module + 4));
        assertEquals("", machine.text(machine.memory.readLe32(module + 8)));
        assertArrayEquals(CODE, machine.read(64 * MEBIBYTE - 4096, CODE.length));
    }

    @Test
    void elfOf32BitsIsLoadedBySegments() throws IOException {
        assertEquals(MULTIBOOT, load(elf(ElfBuilder.elf32())));
        assertEquals(0x1bad_b002, machine.memory.readLe32(2 * MEBIBYTE));
    }

    @Test
    void elfOf64BitsIsEnteredIn32BitModeToo() throws IOException {
        assertEquals(MULTIBOOT, load(elf(ElfBuilder.elf64())));
    }

    @Test
    void pvhIsTakenBeforeMultiboot() throws IOException {
        byte[] both = elf(ElfBuilder.elf64().pvh(2 * MEBIBYTE + 4));

        assertEquals(new Summary("protected", 2 * MEBIBYTE + 4, INFO), load(both));
        assertEquals(0x336e_c578, info(0));
    }

    @Test
    void elfWhoseHeaderIsTooFarBehindIsAPlainOne() throws IOException {
        byte[] header = new MultibootBuilder().flags(3).header();
        byte[] file =
                ElfBuilder.elf64()
                        .entry(2 * MEBIBYTE)
                        .load(2 * MEBIBYTE, new byte[8192])
                        .load(4 * MEBIBYTE, header)
                        .build();

        assertEquals(ELF, load(file));
    }

    @Test
    void kernelWithoutAddressesThatIsNoElfIsRefused() throws IOException {
        kernel.flags(0);

        assertEquals(
                "no addresses in the Multiboot header, expected them (bit 16) or an ELF file",
                refusal(0x14));
    }

    @Test
    void pageAlignmentAndMemoryMapMayBeRequired() throws IOException {
        kernel.flags(MultibootBuilder.HAS_ADDRESSES | 3);

        assertEquals(0x2bad_b002, ((EntryState.Protected32) load()).arguments().rax());
    }

    @Test
    void optionalFeaturesMayBeUnknown() throws IOException {
        kernel.flags(MultibootBuilder.HAS_ADDRESSES | 0xfffe_0000);

        assertEquals(0x2bad_b002, ((EntryState.Protected32) load()).arguments().rax());
    }

    @Test
    void requiredFeaturesMayNot() throws IOException {
        kernel.flags(MultibootBuilder.HAS_ADDRESSES | 0x8003);

        assertEquals(
                "the kernel requires Multiboot features 0x8000, expected none but 0x3",
                refusal(0x14));
    }

    @Test
    void kernelThatRequiresAScreenIsRefused() throws IOException {
        kernel.flags(MultibootBuilder.HAS_ADDRESSES | 4);

        assertEquals(
                "the kernel requires Multiboot features 0x4, expected none but 0x3: there is no"
                        + " screen",
                refusal(0x14));
    }

    @ParameterizedTest
    @ValueSource(longs = {0x10_0011, 0x20_0000, 0xffff_ffffL, 0xf_ffff, 0})
    void loadAddressThatIsNotInTheFileIsRefused(long address) throws IOException {
        kernel.loadAddress(address);

        assertEquals(
                "load address 0x%x, expected at most 0x10 below the header's 0x100010"
                        .formatted(address),
                refusal(0x20));
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 0x10_0000})
    void loadEndBeforeTheLoadAddressIsRefused(long address) throws IOException {
        kernel.loadEnd(address);

        assertEquals(
                "load end address 0x%x, expected one above 0x100000".formatted(address),
                refusal(0x24));
    }

    @Test
    void loadEndBehindTheFileIsRefused() throws IOException {
        kernel.loadEnd(MEBIBYTE + 0x1000);

        assertEquals(
                "the file ends at 0x38, expected 0x1000 bytes of the kernel at 0x0", refusal(0));
    }

    @Test
    void zerosBehindRamAreRefused() throws IOException {
        kernel.bssEnd(0xffff_ffffL);

        assertEquals(
                "segment 0 is at 0x100000+0xffefffff, expected an address in the RAM below 4 GiB",
                refusal(0x20));
    }

    @Test
    void entryOutsideTheKernelIsRefused() throws IOException {
        kernel.entry(0x50_0000);

        assertEquals("entry 0x500000, expected an address in a loaded segment", refusal(0x2c));
    }

    @Test
    void kernelInLowMemoryIsRefused() throws IOException {
        kernel.loadAddress(0x7000).headerAddress(0x7010).entry(0x7030);

        assertEquals(
                "segment 0 is at 0x7000+0x38, expected an address in free memory: 0x0-0x2ffff and what the machine reserves are taken",
                refusal(0x20));
    }

    static IntStream lengths() {
        return IntStream.range(0, MultibootBuilder.CODE);
    }

    @ParameterizedTest
    @MethodSource("lengths")
    void kernelThatEndsInItsHeaderIsRefused(int length) throws IOException {
        Path file = Files.write(directory.resolve("cut"), Arrays.copyOf(kernel.build(), length));
        boolean found = length >= MultibootBuilder.HEADER + 12;

        machine.refusal(KernelBoot.of(file), file, found ? MultibootBuilder.HEADER : 0);
    }
}
