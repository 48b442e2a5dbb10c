package org.kaval.guests;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/// Files as kernel modules are: ELF, with little but `.modinfo` in them.
final class KernelModuleFile {
    /// Offsets in what {@link #of} makes.
    static final int MODINFO = 64, NAMES = 0x8000, SECTIONS = 0x9000;

    private static final String SECTION_NAMES = "\0.modinfo\0.shstrtab\0";

    private KernelModuleFile() {}

    /// Sections: none, `.modinfo`, `.shstrtab`.
    static byte[] of(String... modinfo) {
        byte[] info = (String.join("\0", modinfo) + "\0").getBytes(StandardCharsets.ISO_8859_1);
        byte[] bytes = new byte[SECTIONS + 3 * 64];
        ByteBuffer file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        file.putInt(0, 0x464c457f).put(4, (byte) 2).put(5, (byte) 1).put(6, (byte) 1);
        file.putShort(16, (short) 1).putShort(18, (short) 62);
        file.putLong(40, SECTIONS);
        file.putShort(58, (short) 64).putShort(60, (short) 3).putShort(62, (short) 2);
        file.put(MODINFO, info);
        file.put(NAMES, SECTION_NAMES.getBytes(StandardCharsets.ISO_8859_1));
        section(file, 1, 1, MODINFO, info.length);
        section(file, 2, 10, NAMES, SECTION_NAMES.length());
        return bytes;
    }

    private static void section(ByteBuffer file, int index, int name, long offset, long size) {
        int at = SECTIONS + index * 64;
        file.putInt(at, name).putLong(at + 24, offset).putLong(at + 32, size);
    }
}
