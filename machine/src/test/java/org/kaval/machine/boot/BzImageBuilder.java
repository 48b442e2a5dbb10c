package org.kaval.machine.boot;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/// Makes bzImages byte by byte (`Documentation/arch/x86/boot.rst`): by default one that is right,
/// prefers 16 MiB, needs 4 MiB there, and has 4 KiB of kernel that are all 0xcc.
public final class BzImageBuilder {
    static final int SETUP_SECTORS = 4;

    /// Where the kernel begins in the file.
    public static final int KERNEL = (SETUP_SECTORS + 1) * 512;

    static final int KERNEL_SIZE = 0x1000;

    /// Where the kernel's 64-bit entry is.
    public static final int ENTRY = 0x200;

    static final int HEADER_END = 0x26c;
    static final long PREFERRED = 0x100_0000;
    static final long INIT_SIZE = 0x40_0000;
    static final int COMMAND_LINE_SIZE = 2047;

    private ByteBuffer bytes =
            ByteBuffer.allocate(KERNEL + KERNEL_SIZE).order(ByteOrder.LITTLE_ENDIAN);

    public BzImageBuilder() {
        Arrays.fill(bytes.array(), KERNEL, bytes.limit(), (byte) 0xcc);
        u8(0x1f1, SETUP_SECTORS);
        u32(0x1f4, KERNEL_SIZE / 16);
        u16(0x1fe, 0xaa55);
        u8(0x200, 0xeb); // jmp short
        u8(0x201, HEADER_END - 0x202);
        u32(0x202, 0x5372_6448); // HdrS
        u16(0x206, 0x20f);
        u8(0x211, 1); // LOADED_HIGH
        u32(0x214, 0x10_0000);
        u32(0x22c, 0x7fff_ffff);
        u32(0x230, 0x20_0000);
        u8(0x234, 1); // relocatable
        u8(0x235, 21);
        u16(0x236, 0x7f);
        u32(0x238, COMMAND_LINE_SIZE);
        u64(0x258, PREFERRED);
        u32(0x260, (int) INIT_SIZE);
    }

    public BzImageBuilder u8(int offset, int value) {
        bytes.put(offset, (byte) value);
        return this;
    }

    public BzImageBuilder u16(int offset, int value) {
        bytes.putShort(offset, (short) value);
        return this;
    }

    public BzImageBuilder u32(int offset, int value) {
        bytes.putInt(offset, value);
        return this;
    }

    public BzImageBuilder u64(int offset, long value) {
        bytes.putLong(offset, value);
        return this;
    }

    /// Code at the 64-bit entry.
    public BzImageBuilder code(byte[] code) {
        bytes.put(KERNEL + ENTRY, code);
        return this;
    }

    /// Puts a compressed kernel at the offset 0x300 of a kernel that is as large as it has to be.
    public BzImageBuilder payload(byte[] payload) {
        int size = (0x300 + payload.length + 15) & -16;
        bytes =
                ByteBuffer.wrap(Arrays.copyOf(bytes.array(), KERNEL + size))
                        .order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(KERNEL + 0x300, payload);
        u32(0x1f4, size / 16);
        u32(0x248, 0x300);
        return u32(0x24c, payload.length);
    }

    public byte[] build() {
        return bytes.array().clone();
    }

    public Path write(Path directory) throws IOException {
        return Files.write(directory.resolve("bzImage"), build());
    }
}
