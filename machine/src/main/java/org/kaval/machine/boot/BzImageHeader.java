package org.kaval.machine.boot;

import java.io.IOException;
import java.nio.ByteBuffer;

/// The setup header of a bzImage (`struct setup_header`; `Documentation/arch/x86/boot.rst`), whose
/// fields have been checked one by one; what they mean together is up to {@link BzImage}.
///
/// @param end where it ends, in the file and in the zero page
/// @param kernelOffset where in the file the protected-mode kernel begins
/// @param kernelSize in bytes
/// @param canBeAbove4Gib whether the initrd, the command line and the zero page may be anywhere
/// @param prefAddress where the kernel would best run
/// @param relocatable whether it also runs elsewhere
/// @param alignment of where it runs, a power of two
/// @param initSize how much memory it needs there before it looks at the memory map, in bytes
/// @param commandLineSize the longest command line, without the zero at its end, in bytes
/// @param initrdMax the highest address of the initrd
/// @param payloadOffset where in the kernel the compressed one is, in bytes
/// @param payloadLength its length in bytes, 0 if there is none
record BzImageHeader(
        int end,
        long kernelOffset,
        long kernelSize,
        boolean canBeAbove4Gib,
        long prefAddress,
        boolean relocatable,
        long alignment,
        long initSize,
        long commandLineSize,
        long initrdMax,
        long payloadOffset,
        long payloadLength) {

    /// Where it is, in the file and in the zero page.
    static final int OFFSET = 0x1f1;

    /// The first byte behind it that the zero page has no room for.
    private static final int MAX_END = 0x290;

    static final int BOOT_FLAG = 0x1fe;
    static final int BOOT_FLAG_VALUE = 0xaa55;
    static final int HEADER = 0x202;

    /// `HdrS`
    static final int HEADER_VALUE = 0x5372_6448;

    static final int VERSION = 0x206;

    /// The oldest version that Kaval takes: Linux 2.6.22.
    private static final int MIN_VERSION = 0x206;

    /// The first version that has a 64-bit entry: Linux 3.8.
    static final int VERSION_64_BIT = 0x20c;

    static final int SETUP_SECTS = 0x1f1;
    static final int SYSSIZE = 0x1f4;
    static final int JUMP_LENGTH = 0x201;
    static final int LOADFLAGS = 0x211;
    static final int LOADED_HIGH = 1;
    static final int INITRD_ADDR_MAX = 0x22c;
    static final int KERNEL_ALIGNMENT = 0x230;
    static final int RELOCATABLE_KERNEL = 0x234;
    static final int XLOADFLAGS = 0x236;
    static final int XLF_KERNEL_64 = 1;
    static final int XLF_CAN_BE_LOADED_ABOVE_4G = 2;
    static final int CMDLINE_SIZE = 0x238;
    static final int PAYLOAD_OFFSET = 0x248;
    static final int PAYLOAD_LENGTH = 0x24c;
    static final int PREF_ADDRESS = 0x258;
    static final int INIT_SIZE = 0x260;

    /// Where the last field ends that this class reads.
    private static final int NEEDED_END = INIT_SIZE + 4;

    /// `setup_sects` of kernels that have 0 there.
    private static final int DEFAULT_SETUP_SECTORS = 4;

    private static final int SECTOR = 512;
    private static final int PARAGRAPH = 16;

    /// Where a kernel goes that does not say where it would like to be.
    private static final long DEFAULT_ADDRESS = 0x10_0000;

    /// Whether `beginning` is that of a bzImage.
    static boolean isIn(ByteBuffer beginning) {
        return beginning.limit() >= HEADER + 4 && beginning.getInt(HEADER) == HEADER_VALUE;
    }

    /// Reads and checks it.
    static BzImageHeader read(ImageFile file) throws IOException {
        ByteBuffer setup = file.read(0, NEEDED_END, "a Linux setup header");
        checkKind(file, setup);
        int end = HEADER + Byte.toUnsignedInt(setup.get(JUMP_LENGTH));
        if (end < NEEDED_END || end > MAX_END) {
            throw file.error(
                    JUMP_LENGTH,
                    "the setup header ends at 0x%x, expected 0x%x to 0x%x"
                            .formatted(end, NEEDED_END, MAX_END));
        }
        file.require(OFFSET, end - OFFSET, "the setup header");

        int sectors = Byte.toUnsignedInt(setup.get(SETUP_SECTS));
        long kernelOffset = (1L + (sectors == 0 ? DEFAULT_SETUP_SECTORS : sectors)) * SECTOR;
        long kernelSize = unsigned(setup, SYSSIZE) * PARAGRAPH;
        if (kernelSize == 0) {
            throw file.error(SYSSIZE, "the kernel has 0 bytes, expected some");
        }
        file.require(kernelOffset, kernelSize, "the kernel");

        boolean relocatable = setup.get(RELOCATABLE_KERNEL) != 0;
        long alignment = unsigned(setup, KERNEL_ALIGNMENT);
        if (relocatable && Long.bitCount(alignment) != 1) {
            throw file.error(
                    KERNEL_ALIGNMENT,
                    "kernel alignment 0x%x, expected a power of two".formatted(alignment));
        }
        long prefAddress = setup.getLong(PREF_ADDRESS);
        return new BzImageHeader(
                end,
                kernelOffset,
                kernelSize,
                (setup.getShort(XLOADFLAGS) & XLF_CAN_BE_LOADED_ABOVE_4G) != 0,
                prefAddress == 0 ? DEFAULT_ADDRESS : prefAddress,
                relocatable,
                relocatable ? alignment : 1,
                unsigned(setup, INIT_SIZE),
                unsigned(setup, CMDLINE_SIZE),
                unsigned(setup, INITRD_ADDR_MAX),
                unsigned(setup, PAYLOAD_OFFSET),
                unsigned(setup, PAYLOAD_LENGTH));
    }

    /// Whether there is a header at all, and one of a kernel with a 64-bit entry.
    private static void checkKind(ImageFile file, ByteBuffer setup) throws BootFileException {
        int flag = Short.toUnsignedInt(setup.getShort(BOOT_FLAG));
        if (flag != BOOT_FLAG_VALUE) {
            throw file.error(
                    BOOT_FLAG, "boot flag 0x%04x, expected 0x%x".formatted(flag, BOOT_FLAG_VALUE));
        }
        if (setup.getInt(HEADER) != HEADER_VALUE) {
            throw file.error(
                    HEADER,
                    "magic number 0x%08x, expected 0x%x (HdrS)"
                            .formatted(setup.getInt(HEADER), HEADER_VALUE));
        }
        int version = Short.toUnsignedInt(setup.getShort(VERSION));
        if (version < MIN_VERSION) {
            throw file.error(
                    VERSION,
                    "the kernel is too old: boot protocol %s, expected %s (Linux 2.6.22) or later"
                            .formatted(name(version), name(MIN_VERSION)));
        }
        if ((setup.get(LOADFLAGS) & LOADED_HIGH) == 0) {
            throw file.error(
                    LOADFLAGS,
                    "a zImage (loadflags 0x%x), expected a bzImage (bit 0, LOADED_HIGH)"
                            .formatted(setup.get(LOADFLAGS)));
        }
        if (version < VERSION_64_BIT) {
            throw file.error(
                    VERSION,
                    "no 64-bit entry: boot protocol %s, expected %s (Linux 3.8) or later"
                            .formatted(name(version), name(VERSION_64_BIT)));
        }
        int flags = Short.toUnsignedInt(setup.getShort(XLOADFLAGS));
        if ((flags & XLF_KERNEL_64) == 0) {
            throw file.error(
                    XLOADFLAGS,
                    "a 32-bit kernel (xloadflags 0x%x), expected a 64-bit one (bit 0, XLF_KERNEL_64)"
                            .formatted(flags));
        }
    }

    private static String name(int version) {
        return "%d.%02d".formatted(version >> 8, version & 0xff);
    }

    private static long unsigned(ByteBuffer bytes, int offset) {
        return Integer.toUnsignedLong(bytes.getInt(offset));
    }
}
