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
    private final List<Symbol> symbols = new ArrayList<>();

    /// A function's name.
    private record Symbol(String name, long address) {}

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

    /// A function. With at least one there are sections: nothing, code, symbols, names.
    public ElfBuilder symbol(String name, long address) {
        symbols.add(new Symbol(name, address));
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
        byte[] loaded = bytes(size, this::write);
        return symbols.isEmpty() ? loaded : withSections(loaded);
    }

    private byte[] withSections(byte[] loaded) {
        byte[] names = {0};
        byte[] table = new byte[is64 ? 24 : 16];
        for (Symbol symbol : symbols) {
            table = join(table, symbol(symbol, names.length));
            names = join(names, symbol.name.getBytes(StandardCharsets.US_ASCII), new byte[1]);
        }
        int at = loaded.length;
        int headers = at + table.length + names.length;
        ByteBuffer header = ByteBuffer.wrap(loaded).order(ByteOrder.LITTLE_ENDIAN);
        header.position(is64 ? 40 : 32);
        word(header, headers);
        header.position(is64 ? 58 : 46).putShort((short) (is64 ? 64 : 40)).putShort((short) 4);
        return join(
                loaded,
                table,
                names,
                section(0, 0, 0, 0, 0, 0),
                section(1, 6, 0, 0, 0, 0), // program, allocated and executable
                section(2, 0, at, table.length, 3, is64 ? 24 : 16),
                section(3, 0, at + table.length, names.length, 0, 0));
    }

    private byte[] symbol(Symbol symbol, int name) {
        return bytes(
                is64 ? 24 : 16,
                le -> {
                    le.putInt(name);
                    if (!is64) {
                        word(le, symbol.address);
                        word(le, 0);
                    }
                    le.put((byte) 0x12).put((byte) 0).putShort((short) 1); // global function, code
                    if (is64) {
                        word(le, symbol.address);
                        word(le, 0);
                    }
                });
    }

    private byte[] section(int type, long flags, long offset, long size, int link, long entry) {
        return bytes(
                is64 ? 64 : 40,
                le -> {
                    le.putInt(0).putInt(type);
                    word(le, flags);
                    word(le, 0);
                    word(le, offset);
                    word(le, size);
                    le.putInt(link).putInt(0);
                    word(le, 1);
                    word(le, entry);
                });
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
