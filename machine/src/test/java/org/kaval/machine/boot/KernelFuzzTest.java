package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.machine.compression.Compressed;
import org.kaval.machine.compression.Compression;

/// Kernels that a fuzzer makes up: they are loaded, or refused with one line, in bounded time and
/// memory, and nothing else.
///
/// A build replays the seeds and what has been found. To look for more: `./kaval fuzz anyKernel`
class KernelFuzzTest {
    private static final byte[] CODE = new byte[64];

    @TempDir private static Path directory;
    private static BootMachine machine;

    @BeforeAll
    static void make() throws IOException {
        machine = BootMachine.of(32 << 20);
    }

    @AfterAll
    static void free() {
        machine.close();
    }

    private static void load(byte[] kernel, boolean fast) throws IOException {
        KernelBoot boot =
                KernelBoot.of(Path.of("kernel"))
                        .commandLine("console=ttyS0")
                        .fastBoot(fast)
                        .cache(directory);
        try {
            boot.load(ImageFile.of("kernel", MemorySegment.ofArray(kernel)), machine.context);
        } catch (BootFileException refused) {
            assertTrue(
                    String.valueOf(refused.getMessage())
                            .matches("kernel( \\(decompressed\\))?: offset 0x[0-9a-f]+: [^\\n]+"),
                    refused.getMessage());
        }
    }

    static Stream<byte[]> kernels() {
        ElfBuilder elf = ElfBuilder.elf64().entry(0x10_0000).load(0x10_0000, CODE);
        return Stream.of(
                new byte[0],
                new BzImageBuilder().build(),
                elf.build(),
                elf.pvh(0x10_0000).build(),
                ElfBuilder.elf32().entry(0x10_0000).load(0x10_0000, CODE).build(),
                new MultibootBuilder().code(CODE).build());
    }

    @MethodSource("kernels")
    @FuzzTest(maxDuration = "5m")
    void anyKernel(byte[] kernel) throws IOException {
        load(kernel, false);
    }

    static Stream<byte[]> payloads() {
        byte[] elf = ElfBuilder.elf64().entry(0x100_0000).load(0x100_0000, CODE).build();
        return Stream.of(Compression.values())
                .map(format ->
                        ElfBuilder.join(Compressed.of(format, elf), Compressed.le32(elf.length)));
    }

    @MethodSource("payloads")
    @FuzzTest(maxDuration = "5m")
    void anyPayload(byte[] payload) throws IOException {
        load(new BzImageBuilder().payload(Arrays.copyOf(payload, payload.length)).build(), true);
    }
}
