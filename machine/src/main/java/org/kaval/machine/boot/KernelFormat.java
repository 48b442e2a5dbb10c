package org.kaval.machine.boot;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;

/// What a file is, by its own bytes: its name says nothing.
public enum KernelFormat {
    /// Linux with its own decompressor: the usual `vmlinuz`.
    BZIMAGE("a Linux bzImage"),
    /// An ELF file with the note of PVH.
    PVH("an ELF kernel with a PVH entry"),
    /// A file with a Multiboot header (version 1), in ELF or not.
    MULTIBOOT("a Multiboot kernel"),
    /// An ELF file that says no more than where its entry is.
    ELF("an ELF kernel"),

    // what is refused, by a name that helps whoever has mixed files up
    EMPTY("an empty file"),
    ARM64_IMAGE("a Linux kernel for arm64"),
    PE("a PE file (a unified kernel image or another EFI application)"),
    GZIP("compressed with gzip"),
    XZ("compressed with xz"),
    ZSTD("compressed with zstd"),
    LZ4("compressed with lz4"),
    BZIP2("compressed with bzip2"),
    CPIO("a cpio archive (an initrd)"),
    SCRIPT("a script"),
    QCOW2("a qcow2 disk image"),
    ISO9660("an ISO 9660 image (a CD-ROM)"),
    UIMAGE("a U-Boot image"),
    DEVICE_TREE("a device tree"),
    ZIP("a zip archive"),
    DEBIAN_PACKAGE("an ar archive (a Debian package)"),
    BOOT_SECTOR("a boot sector (a disk image, or a Linux older than 2.6.22)"),
    UNKNOWN("no known format");

    /// How much of a file is looked at: an ISO 9660 image says so at 32 KiB.
    static final int LOOKED_AT = 0x9000;

    private static final String EXPECTED =
            "expected a Linux bzImage, an ELF kernel or a Multiboot kernel";

    private static final int BOOT_SIGNATURE = 0x1fe;
    private static final int BOOT_SIGNATURE_VALUE = 0xaa55;

    private final String description;

    KernelFormat(String description) {
        this.description = description;
    }

    /// Whether {@link KernelBoot} boots it.
    public boolean isBootable() {
        return switch (this) {
            case BZIMAGE, PVH, MULTIBOOT, ELF -> true;
            default -> false;
        };
    }

    /// Looks at a file.
    ///
    /// @throws BootFileException if it begins as an ELF file, and is none
    /// @throws IOException if it cannot be read
    public static KernelFormat of(Path file) throws IOException {
        try (ImageFile image = ImageFile.open(file)) {
            return of(image);
        }
    }

    static KernelFormat of(ImageFile file) throws IOException {
        ByteBuffer beginning = file.beginning(LOOKED_AT);
        if (BzImageHeader.isIn(beginning)) {
            return BZIMAGE;
        }
        boolean isElf = ElfFile.isIn(beginning);
        if (isElf && ElfFile.read(file).pvhEntry().isPresent()) {
            return PVH;
        }
        if (MultibootHeader.find(beginning).isPresent()) {
            return MULTIBOOT;
        }
        if (isElf) {
            return ELF;
        }
        KernelFormat other = refused(beginning);
        return other == null ? UNKNOWN : other;
    }

    /// What to throw for a file of this format.
    BootFileException refuse(ImageFile file) {
        return file.error(0, description + ", " + EXPECTED);
    }

    private static @Nullable KernelFormat refused(ByteBuffer b) {
        if (b.limit() == 0) {
            return EMPTY;
        }
        for (Signature signature : Signature.ALL) {
            if (signature.isIn(b)) {
                return signature.format;
            }
        }
        boolean bootSector =
                b.limit() >= BOOT_SIGNATURE + 2
                        && Short.toUnsignedInt(b.getShort(BOOT_SIGNATURE)) == BOOT_SIGNATURE_VALUE;
        return bootSector ? BOOT_SECTOR : null;
    }

    @Override
    public String toString() {
        return description;
    }

    /// Bytes by which a format is known.
    ///
    /// @param bytes in hexadecimal
    private record Signature(KernelFormat format, int offset, String bytes) {
        /// In the order in which they are tried: an arm64 kernel is a PE file, too.
        static final Signature[] ALL = {
            new Signature(ARM64_IMAGE, 0x38, "41524d64"), // ARM d
            new Signature(PE, 0, "4d5a"), // MZ
            new Signature(GZIP, 0, "1f8b"),
            new Signature(XZ, 0, "fd377a585a00"),
            new Signature(ZSTD, 0, "28b52ffd"),
            new Signature(LZ4, 0, "02214c18"), // legacy frame
            new Signature(LZ4, 0, "04224d18"), // frame
            new Signature(BZIP2, 0, "425a68"), // BZh
            new Signature(CPIO, 0, "3037303730"), // 07070
            new Signature(SCRIPT, 0, "2321"), // #!
            new Signature(QCOW2, 0, "514649fb"),
            new Signature(ISO9660, 0x8001, "4344303031"), // CD001
            new Signature(UIMAGE, 0, "27051956"),
            new Signature(DEVICE_TREE, 0, "d00dfeed"),
            new Signature(ZIP, 0, "504b0304"),
            new Signature(DEBIAN_PACKAGE, 0, "213c617263683e0a"), // !<arch>
        };

        boolean isIn(ByteBuffer b) {
            byte[] expected = HexFormat.of().parseHex(bytes);
            return b.limit() >= offset + expected.length
                    && b.slice(offset, expected.length).equals(ByteBuffer.wrap(expected));
        }
    }
}
