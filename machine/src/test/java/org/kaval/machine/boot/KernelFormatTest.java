package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// A file's own bytes say what it is.
class KernelFormatTest {
    @TempDir private Path directory;

    private Path file(byte[] bytes) throws IOException {
        return Files.write(directory.resolve("kernel"), bytes);
    }

    private KernelFormat format(byte[] bytes) throws IOException {
        return KernelFormat.of(file(bytes));
    }

    /// A file of 64 KiB with `hex` at `offset`.
    private static byte[] withBytes(int offset, String hex) {
        byte[] bytes = new byte[64 << 10];
        byte[] signature = HexFormat.of().parseHex(hex);
        System.arraycopy(signature, 0, bytes, offset, signature.length);
        return bytes;
    }

    @Test
    void bzImageIsOneWhateverItBeginsWith() throws IOException {
        assertEquals(KernelFormat.BZIMAGE, format(new BzImageBuilder().build()));
        // with an EFI stub it begins as a PE file does
        assertEquals(
                KernelFormat.BZIMAGE,
                format(new BzImageBuilder().u16(0, 0x5a4d).u32(0x3c, 0x40).build()));
    }

    @Test
    void elfIsPvhIfItHasTheNote() throws IOException {
        ElfBuilder elf = ElfBuilder.elf64().load(0x10_0000, new byte[16]);

        assertEquals(KernelFormat.ELF, format(elf.build()));
        assertEquals(KernelFormat.PVH, format(elf.pvh(0x10_0000).build()));
    }

    @ParameterizedTest
    @CsvSource({
        "ARM64_IMAGE, 0x38, 41524d64",
        "PE, 0, 4d5a9000",
        "GZIP, 0, 1f8b0800",
        "XZ, 0, fd377a585a000004",
        "ZSTD, 0, 28b52ffd",
        "LZ4, 0, 02214c18",
        "LZ4, 0, 04224d18",
        "BZIP2, 0, 425a6839",
        "CPIO, 0, 303730373031",
        "SCRIPT, 0, 23212f62696e2f7368",
        "QCOW2, 0, 514649fb00000003",
        "ISO9660, 0x8001, 4344303031",
        "UIMAGE, 0, 27051956",
        "DEVICE_TREE, 0, d00dfeed",
        "ZIP, 0, 504b0304",
        "DEBIAN_PACKAGE, 0, 213c617263683e0a",
        "BOOT_SECTOR, 0x1fe, 55aa",
        "UNKNOWN, 0, 00",
        "UNKNOWN, 0x1000, ffff",
    })
    void otherFilesAreKnownByTheirFirstBytes(KernelFormat expected, int offset, String hex)
            throws IOException {
        assertEquals(expected, format(withBytes(offset, hex)));
        assertFalse(expected.isBootable());
    }

    @Test
    void arm64KernelIsNoPeFile() throws IOException {
        byte[] image = withBytes(0x38, "41524d64");
        image[0] = 'M';
        image[1] = 'Z';

        assertEquals(KernelFormat.ARM64_IMAGE, format(image));
    }

    @Test
    void shortFilesAreLookedAtAsFarAsTheyGo() throws IOException {
        assertEquals(KernelFormat.EMPTY, format(new byte[0]));
        assertEquals(KernelFormat.UNKNOWN, format(new byte[] {'M'}));
        assertEquals(KernelFormat.PE, format(new byte[] {'M', 'Z'}));
        assertEquals(KernelFormat.UNKNOWN, format(new byte[] {0x7f, 'E', 'L'}));
    }

    @Test
    void bootableOnesAreThoseWithALoader() {
        assertEquals(
                List.of(
                        KernelFormat.BZIMAGE,
                        KernelFormat.PVH,
                        KernelFormat.MULTIBOOT,
                        KernelFormat.ELF),
                Stream.of(KernelFormat.values()).filter(KernelFormat::isBootable).toList());
    }

    @Test
    void everyOtherOneIsRefusedByName() throws IOException {
        Path script = file("#!/bin/sh\n".getBytes(StandardCharsets.US_ASCII));
        try (BootMachine machine = BootMachine.of(4 << 20)) {
            assertEquals(
                    "a script, expected a Linux bzImage, an ELF kernel or a Multiboot kernel",
                    machine.refusal(KernelBoot.of(script), script, 0));
        }
    }

    @ParameterizedTest
    @CsvSource({
        "0x38, 41524d64, a Linux kernel for arm64",
        "0, 4d5a9000, a PE file (a unified kernel image or another EFI application)",
        "0, 1f8b0800, compressed with gzip",
        "0, 514649fb00000003, a qcow2 disk image",
        "0x1fe, 55aa, 'a boot sector (a disk image, or a Linux older than 2.6.22)'",
        "0x1000, ffff, no known format",
    })
    void whatKavalDoesNotBootIsRefusedByName(int offset, String hex, String name)
            throws IOException {
        Path file = file(withBytes(offset, hex));
        try (BootMachine machine = BootMachine.of(4 << 20)) {
            assertEquals(
                    name + ", expected a Linux bzImage, an ELF kernel or a Multiboot kernel",
                    machine.refusal(KernelBoot.of(file), file, 0));
        }
    }

    /// A unified kernel image has the kernel in a section: what it begins with counts.
    @Test
    void bzImageInsideAPeFileIsNone() throws IOException {
        byte[] image = withBytes(0, "4d5a9000");
        byte[] kernel = new BzImageBuilder().build();
        System.arraycopy(kernel, 0, image, 0x1000, kernel.length);

        assertEquals(KernelFormat.PE, format(image));
    }

    @Test
    void brokenElfIsAnError() throws IOException {
        Path elf = file(new byte[] {0x7f, 'E', 'L', 'F', 2, 1, 1});

        var refused = assertThrows(BootFileException.class, () -> KernelFormat.of(elf));

        assertEquals(
                elf
                        + ": offset 0x0: the file ends at 0x7, expected 0x10 bytes of an ELF header"
                        + " at 0x0",
                refused.getMessage());
    }

    @Test
    void missingFileIsAnError() {
        Path none = directory.resolve("none");

        var refused = assertThrows(IOException.class, () -> KernelFormat.of(none));

        assertEquals(none + ": no such file", refused.getMessage());
        assertTrue(Files.notExists(none));
    }
}
