package org.kaval.machine.boot;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/// Makes ELF executables byte by byte: header, program headers, and what the segments hold from
/// 0x1000 on, one behind the other.
public final class ElfBuilder {
    static final int CONTENTS = 0x1000;

    private static final int PT_LOAD = 1;
    private static final int PT_NOTE = 4;

    private final boolean is64;
    private long entry;
    private final List<Program> programs = new ArrayList<>();

    /// A program header and what it is about.
    private static final class Program {
        private final int type;
        private final long virtual;
        private final long physical;
        private final byte[] contents;
        private final long memorySize;
        private final int align;

        Program(
                int type,
                long virtual,
                long physical,
                byte[] contents,
                long memorySize,
                int align) {
            this.type = type;
            this.virtual = virtual;
            this.physical = physical;
            this.contents = contents;
            this.memorySize = memorySize;
            this.align = align;
        }
    }

    private ElfBuilder(boolean is64) {
        this.is64 = is64;
    }

    public static ElfBuilder elf64() {
        return new ElfBuilder(true);
    }

    public static ElfBuilder elf32() {
        return new ElfBuilder(false);
    }

    public ElfBuilder entry(long address) {
        entry = address;
        return this;
    }

    /// A segment whose virtual address is its physical one.
    public ElfBuilder load(long address, byte... contents) {
        return load(address, address, contents, contents.length);
    }

    ElfBuilder load(long virtual, long physical, byte[] contents, long memorySize) {
        programs.add(new Program(PT_LOAD, virtual, physical, contents, memorySize, 0x1000));
        return this;
    }

    ElfBuilder notes(int align, byte... notes) {
        programs.add(new Program(PT_NOTE, 0, 0, notes, notes.length, align));
        return this;
    }

    /// The note of PVH.
    public ElfBuilder pvh(int address) {
        return notes(4, note("Xen", 18, 4, u32(address)));
    }

    static byte[] u32(int value) {
        return bytes(4, le -> le.putInt(value));
    }

    static byte[] u64(long value) {
        return bytes(8, le -> le.putLong(value));
    }

    static byte[] note(String name, int type, int align, byte[] value) {
        byte[] nameBytes = (name + "\0").getBytes(StandardCharsets.US_ASCII);
        int valueAt = (12 + nameBytes.length + align - 1) & -align;
        int end = (valueAt + value.length + align - 1) & -align;
        return bytes(
                end,
                le ->
                        le.putInt(nameBytes.length)
                                .putInt(value.length)
                                .putInt(type)
                                .put(nameBytes)
                                .position(valueAt)
                                .put(value));
    }

    static byte[] join(byte[]... parts) {
        var all = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            all.writeBytes(part);
        }
        return all.toByteArray();
    }

    public byte[] build() {
        int size = CONTENTS;
        for (Program program : programs) {
            size += program.contents.length;
        }
        return bytes(size, this::write);
    }

    private void write(ByteBuffer file) {
        header(file);
        int at = CONTENTS;
        for (Program program : programs) {
            programHeader(file, program, at);
            at += program.contents.length;
        }
        file.position(CONTENTS);
        for (Program program : programs) {
            file.put(program.contents);
        }
    }

    public Path write(Path directory) throws IOException {
        return Files.write(directory.resolve("kernel.elf"), build());
    }

    private void header(ByteBuffer file) {
        file.put(new byte[] {0x7f, 'E', 'L', 'F', (byte) (is64 ? 2 : 1), 1, 1});
        file.position(16);
        file.putShort((short) 2).putShort((short) (is64 ? 62 : 3)).putInt(1);
        word(file, entry);
        word(file, is64 ? 64 : 52); // program headers follow
        word(file, 0);
        file.putInt(0).putShort((short) (is64 ? 64 : 52));
        file.putShort((short) (is64 ? 56 : 32)).putShort((short) programs.size());
        file.position(is64 ? 64 : 52);
    }

    private void programHeader(ByteBuffer file, Program program, int offset) {
        file.putInt(program.type);
        if (is64) {
            file.putInt(7);
        }
        word(file, offset);
        word(file, program.virtual);
        word(file, program.physical);
        word(file, program.contents.length);
        word(file, program.memorySize);
        if (!is64) {
            file.putInt(7);
        }
        word(file, program.align);
    }

    private void word(ByteBuffer file, long value) {
        if (is64) {
            file.putLong(value);
        } else {
            file.putInt((int) value);
        }
    }

    private static byte[] bytes(int size, Consumer<ByteBuffer> writer) {
        byte[] bytes = new byte[size];
        writer.accept(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN));
        return bytes;
    }
}
