package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Kernels that are cut off, at every byte of their headers.
class TruncatedKernelTest {
    private static final byte[] BZIMAGE = new BzImageBuilder().build();
    private static final byte[] ELF =
            ElfBuilder.elf64()
                    .entry(0x10_0000)
                    .load(0x10_0000, new byte[64])
                    .pvh(0x10_0000)
                    .build();

    @TempDir private static Path directory;
    private static BootMachine machine;

    @BeforeAll
    static void make() throws IOException {
        machine = BootMachine.of(64 << 20);
    }

    @AfterAll
    static void free() {
        machine.close();
    }

    private static BootFileException refusal(byte[] kernel, int length) throws IOException {
        Path file = Files.write(directory.resolve("kernel"), Arrays.copyOf(kernel, length));
        var refused =
                assertThrows(
                        BootFileException.class,
                        () -> machine.load(KernelBoot.of(file)),
                        "of 0x%x bytes".formatted(length));
        String message = String.valueOf(refused.getMessage());
        assertTrue(
                message.matches("\\Q%s\\E: offset 0x[0-9a-f]+: .*expected .*".formatted(file)),
                message);
        assertTrue(refused.offset() <= length, message);
        return refused;
    }

    /// Every byte of the setup header, and what is around it.
    static IntStream headerBytes() {
        return IntStream.range(0x1e0, 0x2a0);
    }

    @ParameterizedTest
    @MethodSource("headerBytes")
    void bzImageThatEndsInItsHeaderIsRefused(int length) throws IOException {
        refusal(BZIMAGE, length);
    }

    static IntStream sectors() {
        return IntStream.rangeClosed(0, BZIMAGE.length / 512)
                .flatMap(sector -> IntStream.of(sector * 512 - 1, sector * 512, sector * 512 + 1))
                .filter(length -> length >= 0 && length < BZIMAGE.length);
    }

    @ParameterizedTest
    @MethodSource("sectors")
    void bzImageThatEndsAtASectorIsRefused(int length) throws IOException {
        refusal(BZIMAGE, length);
    }

    @Test
    void wholeBzImageIsTaken() throws IOException {
        Path file = Files.write(directory.resolve("kernel"), BZIMAGE);

        assertEquals(
                new EntryStates.Summary("long", 0x100_0200, 0x7000),
                EntryStates.summary(machine.load(KernelBoot.of(file))));
    }

    @Test
    void bzImageThatEndsBehindItsMagicSaysWhatIsMissing() throws IOException {
        BootFileException refused = refusal(BZIMAGE, 0x210);

        assertEquals(
                directory.resolve("kernel")
                        + ": offset 0x0: the file ends at 0x210, expected 0x264 bytes of a Linux"
                        + " setup header at 0x0",
                refused.getMessage());
    }

    static IntStream elfBytes() {
        return IntStream.range(0, 64 + 2 * 56 + 8);
    }

    @ParameterizedTest
    @MethodSource("elfBytes")
    void elfThatEndsInItsHeadersIsRefused(int length) throws IOException {
        refusal(ELF, length);
    }

    static IntStream elfContents() {
        return IntStream.range(ElfBuilder.CONTENTS, ELF.length);
    }

    @ParameterizedTest
    @MethodSource("elfContents")
    void elfThatEndsInItsSegmentsIsRefused(int length) throws IOException {
        refusal(ELF, length);
    }
}
