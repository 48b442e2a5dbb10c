package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.machine.boot.EntryStates.Summary;
import org.kaval.machine.compression.Compressed;
import org.kaval.machine.compression.Compression;

/// Kernels that are decompressed on the host.
class FastBootTest {
    private static final int MEBIBYTE = 1 << 20;
    private static final long LINKED = 0x100_0000;
    private static final int PAYLOAD = BzImageBuilder.KERNEL + 0x300;
    private static final byte[] CODE = {9, 8, 7, 6, 5, 4, 3, 2, 1};

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

    /// A `vmlinux`, with what the kernel's build puts behind it: relocations.
    private static byte[] vmlinux() {
        byte[] elf =
                ElfBuilder.elf64()
                        .entry(LINKED + 3)
                        .load(0xffff_ffff_8100_0000L, LINKED, CODE, 0x10_0000)
                        .build();
        return ElfBuilder.join(elf, new byte[1000]);
    }

    /// What the kernel's build puts into a bzImage: gzip's data has the size at its end already.
    private static byte[] payload(Compression format, byte[] content) {
        byte[] data = Compressed.of(format, content);
        return format == Compression.GZIP
                ? data
                : ElfBuilder.join(data, Compressed.le32(content.length));
    }

    private static BzImageBuilder image(Compression format, byte[] content) {
        return new BzImageBuilder().payload(payload(format, content));
    }

    private Path cache() {
        return directory.resolve("cache");
    }

    private KernelBoot kernel(BzImageBuilder image) throws IOException {
        return KernelBoot.of(image.write(directory)).fastBoot(true).cache(cache());
    }

    private String refusal(BzImageBuilder image, long offset) throws IOException {
        return machine.refusal(kernel(image), directory.resolve("bzImage"), offset);
    }

    @ParameterizedTest
    @EnumSource(Compression.class)
    void kernelIsEnteredWhereItWasLinked(Compression format) throws IOException {
        var entry = machine.load(kernel(image(format, vmlinux())));

        assertEquals(new Summary("long", LINKED + 3, 0x7000), EntryStates.summary(entry));
        assertArrayEquals(CODE, machine.read(LINKED, CODE.length));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void kernelComesFromTheCacheTheNextTime(int times) throws IOException {
        KernelBoot kernel = kernel(image(Compression.ZSTD, vmlinux()));
        for (int i = 0; i < times; i++) {
            machine.load(kernel);
        }
        try (BootMachine other = BootMachine.of(32 * MEBIBYTE)) {
            var entry = other.load(kernel);

            assertEquals(new Summary("long", LINKED + 3, 0x7000), EntryStates.summary(entry));
            assertArrayEquals(CODE, other.read(LINKED, CODE.length));
        }
    }

    @Test
    void zeroPageHasTheHeaderOfTheBzImage() throws IOException {
        Path initrd = Files.write(directory.resolve("initrd"), CODE);
        BzImageBuilder image = image(Compression.LZ4, vmlinux()).u32(0x240, 0x1234_5678);

        machine.load(kernel(image).initrd(initrd).commandLine("a=b"));

        assertEquals(0x1234_5678, machine.memory.readLe32(0x7240));
        assertEquals("a=b", machine.text(machine.memory.readLe32(0x7228)));
        assertEquals(64 * MEBIBYTE - 4096, machine.memory.readLe32(0x7218));
    }

    @Test
    void initrdIsNotInTheMemoryThatTheKernelNeeds() throws IOException {
        machine.close();
        machine = BootMachine.of(20 * MEBIBYTE); // the kernel has 16 to 20
        Path initrd = Files.write(directory.resolve("initrd"), CODE);

        machine.load(kernel(image(Compression.GZIP, vmlinux())).initrd(initrd));

        assertEquals(16 * MEBIBYTE - 4096, machine.memory.readLe32(0x7218));
    }

    @Test
    void otherFormatsAreBootedAsEver() throws IOException {
        Path elf = ElfBuilder.elf64().entry(MEBIBYTE).load(MEBIBYTE, CODE).write(directory);

        var entry = machine.load(KernelBoot.of(elf).fastBoot(true).cache(cache()));

        assertEquals(new Summary("long", MEBIBYTE, 0x7000), EntryStates.summary(entry));
        assertTrue(Files.notExists(cache()));
    }

    @Test
    void commandLineHasTheKernelsLimit() throws IOException {
        KernelBoot kernel = kernel(image(Compression.LZ4, vmlinux())).commandLine("x".repeat(2048));

        assertEquals(
                "the command line has 2048 bytes, expected at most 2047",
                machine.refusal(kernel, directory.resolve("bzImage"), 0x238));
    }

    @Test
    void formatThatIsNotKnownIsRefused() throws IOException {
        byte[] lzo = {(byte) 0x89, 0x4c, 0x5a, 0x4f, 0, 0x0d, 0x0a, 0x1a, 0, 0, 0, 1};

        assertEquals(
                "a kernel compressed in a format that begins with 894c5a4f000d0a1a, expected gzip,"
                        + " xz, lzma, bzip2, lz4 or zstd",
                refusal(new BzImageBuilder().payload(lzo), PAYLOAD));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 11})
    void kernelWithoutAPayloadIsRefused(int length) throws IOException {
        BzImageBuilder image = image(Compression.LZ4, vmlinux()).u32(0x24c, length);

        assertTrue(
                refusal(image, 0x24c)
                        .startsWith(
                                "a compressed kernel of 0x%x bytes at 0x300, expected one in the 0x"
                                        .formatted(length)));
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, Integer.MAX_VALUE, 0x10_0000})
    void payloadOutsideTheKernelIsRefused(int value) throws IOException {
        BzImageBuilder image = image(Compression.LZ4, vmlinux());

        assertTrue(refusal(image.u32(0x248, value), 0x24c).contains("expected one in the 0x"));
        assertTrue(
                refusal(image.u32(0x248, 0x300).u32(0x24c, value), 0x24c)
                        .contains("expected one in the 0x"));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 0x40_0001, Integer.MAX_VALUE, -1})
    void sizeThatTheKernelHasNoMemoryForIsRefused(int size) throws IOException {
        byte[] data = Compressed.of(Compression.LZ4, vmlinux());
        byte[] payload = ElfBuilder.join(data, Compressed.le32(size));

        assertEquals(
                "a compressed kernel of 0x%x bytes when decompressed, expected 1 to the 0x400000 that it needs to run"
                        .formatted(size),
                refusal(new BzImageBuilder().payload(payload), PAYLOAD + payload.length - 4));
    }

    @ParameterizedTest
    @EnumSource(Compression.class)
    void dataThatEndsTooEarlyIsRefused(Compression format) throws IOException {
        byte[] payload = payload(format, vmlinux());
        byte[] cut =
                ElfBuilder.join(
                        Arrays.copyOf(payload, payload.length - 30),
                        Compressed.le32(vmlinux().length));
        KernelBoot kernel = kernel(new BzImageBuilder().payload(cut));

        var refused = assertThrows(BootFileException.class, () -> machine.load(kernel));

        assertTrue(
                String.valueOf(refused.getMessage())
                        .matches(
                                ".*/bzImage: offset 0x[0-9a-f]+: cannot decompress the kernel \\(%s\\): .*expected.*"
                                        .formatted(format)),
                refused.getMessage());
        assertTrue(refused.offset() >= PAYLOAD && refused.offset() <= PAYLOAD + cut.length);
    }

    @ParameterizedTest
    @EnumSource(Compression.class)
    void bombIsRefused(Compression format) throws IOException {
        byte[] data = Compressed.of(format, new byte[8 * MEBIBYTE]);
        byte[] payload = ElfBuilder.join(data, Compressed.le32(0x10_0000));
        KernelBoot kernel = kernel(new BzImageBuilder().payload(payload));

        var refused = assertThrows(BootFileException.class, () -> machine.load(kernel));

        assertTrue(String.valueOf(refused.getMessage()).contains("expected"), refused.getMessage());
    }

    @Test
    void contentThatIsNoElfFileIsRefused() throws IOException {
        KernelBoot kernel = kernel(image(Compression.LZ4, new byte[100]));

        assertEquals(
                "magic number 0x00000000, expected 0x464c457f (ELF)",
                machine.refusal(kernel, directory.resolve("bzImage (decompressed)"), 0));
        assertTrue(Files.notExists(cache()));
    }

    @Test
    void contentOf32BitsIsRefused() throws IOException {
        byte[] elf = ElfBuilder.elf32().entry(MEBIBYTE).load(MEBIBYTE, CODE).build();
        KernelBoot kernel = kernel(image(Compression.LZ4, elf));

        assertEquals(
                "a 32-bit kernel, expected a 64-bit one",
                machine.refusal(kernel, directory.resolve("bzImage (decompressed)"), 4));
    }

    @Test
    void segmentOutsideRamIsRefused() throws IOException {
        byte[] elf = ElfBuilder.elf64().entry(LINKED).load(4096L * MEBIBYTE, CODE).build();
        KernelBoot kernel = kernel(image(Compression.LZ4, elf));

        assertEquals(
                "segment 0 is at 0x100000000+0x9, expected an address in the RAM below 4 GiB",
                machine.refusal(kernel, directory.resolve("bzImage (decompressed)"), 64));
    }
}
