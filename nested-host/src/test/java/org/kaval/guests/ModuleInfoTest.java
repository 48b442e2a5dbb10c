package org.kaval.guests;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class ModuleInfoTest {
    @TempDir Path directory;

    private ModuleInfo read(byte[] bytes) throws IOException {
        return ModuleInfo.read(Files.write(directory.resolve("x.ko"), bytes));
    }

    private static ModuleInfo parse(String modinfo) {
        return ModuleInfo.parse(ByteBuffer.wrap(modinfo.getBytes(StandardCharsets.ISO_8859_1)));
    }

    @Test
    void dependenciesAreReadInTheirOrder() throws Exception {
        ModuleInfo info =
                read(
                        KernelModuleFile.of(
                                "license=GPL",
                                "depends=virtio,virtio-ring",
                                "softdep=pre: crc32c xor post: z",
                                "name=virtio_pci"));
        assertEquals("virtio_pci", info.name());
        assertEquals(List.of("virtio", "virtio-ring"), info.depends());
        assertEquals(List.of("crc32c", "xor"), info.softDepends());
    }

    @Test
    void moduleThatNeedsNothingHasAnEmptyList() throws Exception {
        assertEquals(List.of(), read(KernelModuleFile.of("depends=", "name=x")).depends());
    }

    @Test
    void oddModinfoIsTakenAsItIs() {
        assertEquals(new ModuleInfo("", List.of(), List.of()), parse(""));
        assertEquals(new ModuleInfo("", List.of(), List.of()), parse("\0\0=\0depends\0=x\0"));
        assertEquals(List.of("a", "b"), parse("depends=,a,, b ,").depends());
        assertEquals(List.of("a"), parse("depends=a").depends(), "no null byte at its end");
        assertEquals(List.of(), parse("softdep=post: a pre").softDepends());
        assertEquals(List.of("b"), parse("softdep=post: a pre: b").softDepends());
    }

    static Stream<Arguments> damages() {
        int modinfo = KernelModuleFile.SECTIONS + 64, names = KernelModuleFile.SECTIONS + 128;
        return Stream.of(
                Arguments.of(0, 1, 0x7e, "offset 0x0: expected the mark of an ELF file"),
                Arguments.of(4, 1, 1, "offset 0x4: expected 64 bits"),
                Arguments.of(5, 1, 2, "offset 0x4: expected 64 bits, little endian"),
                Arguments.of(16, 2, 2, "offset 0x10: expected a relocatable file"),
                Arguments.of(58, 2, 40, "offset 0x3a: expected section headers of 64 bytes"),
                Arguments.of(60, 2, 0, "offset 0x3c: expected 1 to 65279 sections"),
                Arguments.of(60, 2, 0xffff, "offset 0x3c: expected 1 to 65279 sections"),
                Arguments.of(60, 2, 4, "offset 0x9000: expected 256 bytes of the section headers"),
                Arguments.of(62, 2, 3, "offset 0x3e: expected an index of a section, below 3"),
                Arguments.of(40, 8, -1L, "offset 0xffffffffffffffff: expected 192 bytes"),
                Arguments.of(40, 8, Long.MAX_VALUE, "offset 0x7fffffffffffffff: expected 192"),
                Arguments.of(modinfo + 32, 8, -1L, "offset 0x9060: expected at most 1048576 bytes"),
                Arguments.of(modinfo + 32, 8, 1L << 32, "offset 0x9060: expected at most 1048576"),
                Arguments.of(modinfo + 32, 8, 1L << 20, "bytes of .modinfo, but the file ends at"),
                Arguments.of(
                        modinfo + 24, 8, Long.MIN_VALUE, "offset 0x8000000000000000: expected"),
                Arguments.of(modinfo, 4, -5, "no section .modinfo"),
                Arguments.of(modinfo, 4, 0x7fffffff, "no section .modinfo"),
                Arguments.of(names + 32, 8, 0, "no section .modinfo"),
                Arguments.of(names + 32, 8, 5L << 20, "at most 4194304 bytes of section names"));
    }

    @ParameterizedTest
    @MethodSource("damages")
    void damagedFileIsRefusedWithTheOffset(int at, int size, long value, String expected) {
        byte[] file = KernelModuleFile.of("depends=");
        byte[] bytes = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array();
        System.arraycopy(bytes, 0, file, at, size);
        IOException e = assertThrows(IOException.class, () -> read(file));
        String message = String.valueOf(e.getMessage());
        assertTrue(message.contains(expected), message);
        assertEquals(1, message.lines().count());
    }

    @Test
    void everyTruncationIsRefused() {
        byte[] whole = KernelModuleFile.of("depends=a");
        for (int size = 0; size < whole.length; size += 61) {
            byte[] part = Arrays.copyOf(whole, size);
            assertThrows(IOException.class, () -> read(part), "size " + size);
        }
    }

    @Test
    void randomBytesNeverDoMoreThanFail() {
        for (long seed = 0; seed < 300; seed++) {
            RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
            byte[] file = KernelModuleFile.of("depends=a,b");
            for (int i = 0; i < 3; i++) {
                int header = random.nextBoolean() ? 0 : KernelModuleFile.SECTIONS;
                file[header + random.nextInt(192)] = (byte) random.nextInt();
            }
            assertDoesNotThrow(() -> readOrRefuse(file), "seed " + seed);
        }
    }

    private void readOrRefuse(byte[] file) {
        try {
            read(file);
        } catch (IOException refused) {
            assertEquals(1, String.valueOf(refused.getMessage()).lines().count());
        }
    }
}
