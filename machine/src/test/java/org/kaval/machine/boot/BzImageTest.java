package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.kvm.KvmDescriptorTable;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.EntryState;

/// The 64-bit boot protocol of Linux, field by field; offsets are those of
/// `Documentation/arch/x86/boot.rst` and `zero-page.rst`.
class BzImageTest {
    private static final long MEBIBYTE = 1 << 20;
    private static final long ZERO_PAGE = 0x7000;
    private static final long PREFERRED = BzImageBuilder.PREFERRED;

    @TempDir private Path directory;
    private final BzImageBuilder image = new BzImageBuilder();
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

    private KernelBoot kernel() throws IOException {
        return KernelBoot.of(image.write(directory));
    }

    private KernelBoot kernelWithInitrd(int size) throws IOException {
        byte[] bytes = new byte[size];
        Arrays.fill(bytes, (byte) 0x77);
        return kernel().initrd(Files.write(directory.resolve("initrd"), bytes));
    }

    private String refusal(long offset) throws IOException {
        return machine.refusal(kernel(), directory.resolve("bzImage"), offset);
    }

    private int u32(int offset) {
        return machine.memory.readLe32(ZERO_PAGE + offset);
    }

    private long u64(int offset) {
        return machine.memory.readLe64(ZERO_PAGE + offset);
    }

    @Test
    void kernelIsAtItsPreferredAddressAndEnteredAt200() throws IOException {
        EntryState entry = machine.load(kernel());

        assertEquals(
                new EntryState.Long64(
                        PREFERRED + 0x200,
                        0x9000,
                        new KvmDescriptorTable(0x500, 0x2f),
                        0x9000,
                        new EntryState.Arguments(0, 0, ZERO_PAGE)),
                entry);
        byte[] expected = new byte[BzImageBuilder.KERNEL_SIZE];
        Arrays.fill(expected, (byte) 0xcc);
        assertArrayEquals(expected, machine.read(PREFERRED, expected.length));
        assertEquals(0, machine.memory.readByte(PREFERRED + expected.length));
    }

    @Test
    void setupHeaderIsCopiedAsFarAsItGoes() throws IOException {
        image.u32(0x240, 0x1234_5678).u8(0x26b, 0x9a).u8(0x26c, 0xbc);

        machine.load(kernel());

        assertEquals(0x1234_5678, u32(0x240));
        assertEquals(0x9a, machine.memory.readByte(ZERO_PAGE + 0x26b));
        assertEquals(0, machine.memory.readByte(ZERO_PAGE + 0x26c));
        assertEquals(4, machine.memory.readByte(ZERO_PAGE + 0x1f1));
        assertEquals(0, machine.memory.readByte(ZERO_PAGE + 0x1f0));
    }

    @Test
    void zeroPageSaysWhoLoadedWhatAndWhere() throws IOException {
        machine.load(kernel().commandLine("console=ttyS0"));

        assertEquals(0xff, machine.memory.readByte(ZERO_PAGE + 0x210));
        assertEquals(PREFERRED, u32(0x214));
        assertEquals(0x2_0000, u32(0x228));
        assertEquals("console=ttyS0", machine.text(0x2_0000));
        assertEquals(0, machine.memory.readByte(ZERO_PAGE + 0x1ef)); // sentinel
        assertEquals(0, u64(0x218)); // no initrd
        assertEquals(0, u64(0x070)); // no ACPI
    }

    @Test
    void commandLineIsUtf8() throws IOException {
        machine.load(kernel().commandLine("name=Käse"));

        assertEquals("name=Käse", machine.text(0x2_0000));
    }

    @Test
    void zeroPageHasTheMemoryMap() throws IOException {
        machine.load(kernel());

        assertEquals(3, machine.memory.readByte(ZERO_PAGE + 0x1e8));
        assertEquals(
                List.of(0L, 0x9_fc00L, 1L, 0x9_fc00L, 0x6_0400L, 2L, 0x10_0000L, 0x3f0_0000L, 1L),
                List.of(
                        u64(0x2d0),
                        u64(0x2d8),
                        (long) u32(0x2e0),
                        u64(0x2e4),
                        u64(0x2ec),
                        (long) u32(0x2f4),
                        u64(0x2f8),
                        u64(0x300),
                        (long) u32(0x308)));
        assertEquals(0, u64(0x30c));
    }

    @Test
    void zeroPageHasTheAcpiTables() throws IOException {
        var tables =
                new MemoryMap.Entry(
                        new GuestRange(63 * MEBIBYTE, MEBIBYTE), MemoryMap.Type.ACPI_RECLAIMABLE);
        remake(BootMachine.of(63 * MEBIBYTE, List.of(new GuestRange(0, 64 * MEBIBYTE)), tables));

        machine.load(kernelWithInitrd(0x1000));

        assertEquals(63 * MEBIBYTE, u64(0x070));
        assertEquals(4, machine.memory.readByte(ZERO_PAGE + 0x1e8));
        assertEquals(3, u32(0x2d0 + 3 * 20 + 16));
        assertEquals(63 * MEBIBYTE - 0x1000, u32(0x218)); // the initrd is below them
    }

    @Test
    void setupDataHasARandomSeedThatIsNewEachTime() throws IOException {
        machine.load(kernel());
        long data = u64(0x250);
        byte[] first = machine.read(data + 16, 32);

        assertEquals(0, machine.memory.readLe64(data)); // no next one
        assertEquals(9, machine.memory.readLe32(data + 8)); // SETUP_RNG_SEED
        assertEquals(32, machine.memory.readLe32(data + 12));
        machine.load(kernel());
        assertFalse(Arrays.equals(first, machine.read(data + 16, 32)));
        assertFalse(Arrays.equals(new byte[32], first));
    }

    @Test
    void initrdIsAtTheEndOfMemory() throws IOException {
        machine.load(kernelWithInitrd(0x1801));

        assertEquals(64 * MEBIBYTE - 0x2000, u32(0x218));
        assertEquals(0x1801, u32(0x21c));
        assertEquals(0, u64(0x0c0)); // upper halves
        byte[] expected = new byte[0x2000];
        Arrays.fill(expected, 0, 0x1801, (byte) 0x77);
        assertArrayEquals(expected, machine.read(64 * MEBIBYTE - 0x2000, 0x2000));
    }

    @Test
    void initrdEndsBelowTheKernelsLimit() throws IOException {
        image.u32(0x22c, 0x17f_ffff); // 24 MiB - 1

        machine.load(kernelWithInitrd(0x1000));

        assertEquals(24 * MEBIBYTE - 0x1000, u32(0x218));
    }

    /// RAM is 16 MiB up to the kernel, and 4 MiB more that the kernel wants for itself.
    @Test
    void initrdIsNotInTheKernelsMemory() throws IOException {
        remake(BootMachine.of(20 * MEBIBYTE));

        machine.load(kernelWithInitrd(0x1000));

        assertEquals(16 * MEBIBYTE - 0x1000, u32(0x218));
    }

    private static final List<GuestRange> SPLIT =
            List.of(new GuestRange(0, 24 * MEBIBYTE), new GuestRange(4L << 30, 32 * MEBIBYTE));

    @Test
    void initrdThatFitsNowhereElseIsAboveFourGib() throws IOException {
        remake(BootMachine.of(0, SPLIT));

        machine.load(kernelWithInitrd((int) (17 * MEBIBYTE)));

        assertEquals(15 * MEBIBYTE, u32(0x218));
        assertEquals(17 * MEBIBYTE, u32(0x21c));
        assertEquals(1, u32(0x0c0));
        assertEquals(0, u32(0x0c4));
        assertEquals(0x77, machine.memory.readByte((4L << 30) + 32 * MEBIBYTE - 1));
    }

    @Test
    void initrdIsNotAboveFourGibIfTheKernelDoesNotTakeIt() throws IOException {
        image.u16(0x236, 1); // XLF_KERNEL_64 only
        remake(BootMachine.of(0, SPLIT));

        assertEquals(
                "the initrd has 17825792 bytes, expected at most the 15728640 that are free where"
                        + " it may be",
                machine.refusal(
                        kernelWithInitrd((int) (17 * MEBIBYTE)), directory.resolve("initrd"), 0));
    }

    @Test
    void initrdLargerThanRamIsRefusedWithoutReadingIt() throws IOException {
        Path initrd = Files.createFile(directory.resolve("initrd"));
        try (var file = new java.io.RandomAccessFile(initrd.toFile(), "rw")) {
            file.setLength(1L << 40);
        }

        assertEquals(
                "the initrd has 1099511627776 bytes, expected at most the 46137344 that are free"
                        + " where it may be",
                machine.refusal(kernel().initrd(initrd), initrd, 0));
    }

    @Test
    void emptyInitrdIsRefused() throws IOException {
        assertEquals(
                "the file is empty, expected an initrd",
                machine.refusal(kernelWithInitrd(0), directory.resolve("initrd"), 0));
    }

    @Test
    void relocatableKernelMovesUpIfItsPlaceIsTaken() throws IOException {
        var taken = new MemoryMap.Entry(new GuestRange(PREFERRED, 0x1000), MemoryMap.Type.RESERVED);
        remake(BootMachine.of(0, List.of(new GuestRange(0, 64 * MEBIBYTE)), taken));

        var entry = (EntryState.Long64) machine.load(kernel());

        assertEquals(PREFERRED + 0x20_0000 + 0x200, entry.rip()); // the next multiple of 2 MiB
        assertEquals(PREFERRED + 0x20_0000, u32(0x214));
    }

    @Test
    void otherKernelDoesNot() throws IOException {
        image.u8(0x234, 0);
        var taken = new MemoryMap.Entry(new GuestRange(PREFERRED, 0x1000), MemoryMap.Type.RESERVED);
        remake(BootMachine.of(0, List.of(new GuestRange(0, 64 * MEBIBYTE)), taken));

        assertEquals(
                "the kernel needs 0x400000 bytes at 0x1000000, expected as much free memory in 64 MiB",
                refusal(0x260));
    }

    @Test
    void kernelWithoutAPreferredAddressIsAtOneMib() throws IOException {
        image.u64(0x258, 0);

        var entry = (EntryState.Long64) machine.load(kernel());

        assertEquals(0x20_0000 + 0x200, entry.rip()); // the first multiple of its alignment
    }

    @Test
    void memoryThatIsTooSmallForTheKernelIsRefused() throws IOException {
        remake(BootMachine.of(20 * MEBIBYTE - 0x1000));

        assertEquals(
                "the kernel needs 0x400000 bytes above 0x1000000, expected as much free memory in 19 MiB",
                refusal(0x260));
    }

    @Test
    void kernelThatIsLargerThanItSaysItNeedsGetsItsSize() throws IOException {
        image.u32(0x260, 1);
        remake(BootMachine.of(16 * MEBIBYTE + 0x1000));

        machine.load(kernelWithInitrd(0x1000));

        assertEquals(16 * MEBIBYTE - 0x1000, u32(0x218));
    }

    @Test
    void longestCommandLineIsTaken() throws IOException {
        String line = "x".repeat(2047);

        machine.load(kernel().commandLine(line));

        assertEquals(line, machine.text(0x2_0000));
    }

    @Test
    void commandLineLongerThanTheKernelsLimitIsRefused() throws IOException {
        KernelBoot kernel = kernel().commandLine("ä".repeat(1024)); // 2 bytes each

        assertEquals(
                "the command line has 2048 bytes, expected at most 2047",
                machine.refusal(kernel, directory.resolve("bzImage"), 0x238));
    }

    @Test
    void commandLineThatHasNoRoomIsRefusedWhateverTheKernelTakes() throws IOException {
        image.u32(0x238, -1);
        KernelBoot kernel = kernel().commandLine("x".repeat(0x1_0000));

        assertEquals(
                "the command line has 65536 bytes, expected at most 65535",
                machine.refusal(kernel, directory.resolve("bzImage"), 0x238));
        machine.load(kernel().commandLine("x".repeat(0xffff)));
        assertEquals(0, machine.memory.readByte(0x2_ffff));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "0x200 | 2.00",
                "0x202 | 2.02",
                "0x205 | 2.05",
            })
    void kernelThatIsTooOldIsRefused(int version, String name) throws IOException {
        image.u16(0x206, version);

        assertEquals(
                "the kernel is too old: boot protocol %s, expected 2.06 (Linux 2.6.22) or later"
                        .formatted(name),
                refusal(0x206));
    }

    @ParameterizedTest
    @ValueSource(ints = {0x206, 0x20a, 0x20b})
    void kernelWithoutA64BitEntryIsRefused(int version) throws IOException {
        image.u16(0x206, version);

        assertEquals(
                "no 64-bit entry: boot protocol 2.%02d, expected 2.12 (Linux 3.8) or later"
                        .formatted(version & 0xff),
                refusal(0x206));
    }

    @Test
    void kernelOf32BitsIsRefused() throws IOException {
        image.u16(0x236, 0x1e);

        assertEquals(
                "a 32-bit kernel (xloadflags 0x1e), expected a 64-bit one (bit 0, XLF_KERNEL_64)",
                refusal(0x236));
    }

    @Test
    void zImageIsRefused() throws IOException {
        image.u8(0x211, 0x80);

        assertEquals(
                "a zImage (loadflags 0x80), expected a bzImage (bit 0, LOADED_HIGH)",
                refusal(0x211));
    }

    @Test
    void wrongBootFlagIsRefused() throws IOException {
        image.u16(0x1fe, 0x55aa);

        assertEquals("boot flag 0x55aa, expected 0xaa55", refusal(0x1fe));
    }

    @ParameterizedTest
    @CsvSource({"0x61, 0x263", "0, 0x202", "0x8f, 0x291", "0xff, 0x301"})
    void headerOfNoPossibleLengthIsRefused(int length, String end) throws IOException {
        image.u8(0x201, length);

        assertEquals(
                "the setup header ends at %s, expected 0x264 to 0x290".formatted(end),
                refusal(0x201));
    }

    @Test
    void setupOfZeroSectorsHasFour() throws IOException {
        image.u8(0x1f1, 0);

        machine.load(kernel());

        assertEquals(0xcc, machine.memory.readByte(PREFERRED));
    }

    @Test
    void kernelOfZeroBytesIsRefused() throws IOException {
        image.u32(0x1f4, 0);

        assertEquals("the kernel has 0 bytes, expected some", refusal(0x1f4));
    }

    @Test
    void kernelThatIsCutShortIsRefused() throws IOException {
        image.u32(0x1f4, BzImageBuilder.KERNEL_SIZE / 16 + 1);

        assertEquals(
                "the file ends at 0x1a00, expected 0x1010 bytes of the kernel at 0xa00",
                refusal(0xa00));
    }

    @Test
    void kernelSizesAreUnsigned() throws IOException {
        image.u32(0x1f4, -1);

        assertEquals(
                "the file ends at 0x1a00, expected 0xffffffff0 bytes of the kernel at 0xa00",
                refusal(0xa00));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3, 0x1fffff, -1})
    void alignmentThatIsNoPowerOfTwoIsRefused(int alignment) throws IOException {
        image.u32(0x230, alignment);

        assertEquals(
                "kernel alignment 0x%x, expected a power of two".formatted(alignment),
                refusal(0x230));
    }

    @Test
    void largestAlignmentFindsNoPlace() throws IOException {
        image.u32(0x230, 1 << 31);

        assertEquals(
                "the kernel needs 0x400000 bytes above 0x1000000, expected as much free memory in 64 MiB",
                refusal(0x260));
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 0xf_ffff, 1L << 32, Long.MAX_VALUE, Long.MIN_VALUE, -1})
    void preferredAddressOutsideTheIdentityMapIsRefused(long address) throws IOException {
        image.u64(0x258, address);

        assertEquals(
                "preferred address 0x%x, expected 0x100000 to 0xffffffff".formatted(address),
                refusal(0x258));
    }

    @Test
    void kernelThatNeedsFourGibIsRefused() throws IOException {
        image.u32(0x260, -1);

        assertEquals(
                "the kernel needs 0x100000000 bytes above 0x1000000, expected as much free memory in 64 MiB",
                refusal(0x260));
    }
}
