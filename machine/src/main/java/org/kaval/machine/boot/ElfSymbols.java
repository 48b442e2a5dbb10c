package org.kaval.machine.boot;

import java.io.IOException;
import java.nio.ByteBuffer;

/// The symbol table of an ELF file (System V ABI, "Object Files", "Symbol Table").
final class ElfSymbols {
    /// What differs between the classes: offsets in the header, in a section header, in a symbol.
    private enum Layout {
        ELF32(32, 46, 40, 8, 16, 20, 24, 16, 4, 12, 14),
        ELF64(40, 58, 64, 8, 24, 32, 40, 24, 8, 4, 6);

        final int sectionHeaders;
        final int sectionHeaderSize;
        final int headerSize;
        final int flags;
        final int offset;
        final int size;
        final int link;
        final int symbolSize;
        final int value;
        final int info;
        final int section;

        Layout(
                int sectionHeaders,
                int sectionHeaderSize,
                int headerSize,
                int flags,
                int offset,
                int size,
                int link,
                int symbolSize,
                int value,
                int info,
                int section) {
            this.sectionHeaders = sectionHeaders;
            this.sectionHeaderSize = sectionHeaderSize;
            this.headerSize = headerSize;
            this.flags = flags;
            this.offset = offset;
            this.size = size;
            this.link = link;
            this.symbolSize = symbolSize;
            this.value = value;
            this.info = info;
            this.section = section;
        }

        long word(ByteBuffer bytes, int at) {
            return this == ELF64 ? bytes.getLong(at) : Integer.toUnsignedLong(bytes.getInt(at));
        }
    }

    private static final int HEADER = 64;
    private static final int CLASS_64 = 2;
    private static final int TYPE = 4;
    private static final int SHT_SYMTAB = 2;
    private static final int SHF_EXECINSTR = 4;
    private static final int TYPE_MASK = 0xf;
    private static final int STT_NOTYPE = 0;
    private static final int STT_FUNC = 2;

    /// A kernel with everything built in has less of symbols, and of names.
    private static final int MAX_TABLE = 48 << 20;

    private final ImageFile file;
    private final Layout layout;
    private final ByteBuffer headers;
    private final long table;
    private final int count;

    private ElfSymbols(ImageFile file) throws IOException {
        this.file = file;
        ByteBuffer header = file.beginning(HEADER);
        if (header.limit() < HEADER) {
            throw file.error(header.limit(), "the file ends, expected an ELF header");
        }
        layout = header.get(ElfFile.CLASS) == CLASS_64 ? Layout.ELF64 : Layout.ELF32;
        table = layout.word(header, layout.sectionHeaders);
        int size = Short.toUnsignedInt(header.getShort(layout.sectionHeaderSize));
        int number = Short.toUnsignedInt(header.getShort(layout.sectionHeaderSize + 2));
        if (number > 0 && size != layout.headerSize) {
            throw file.error(
                    layout.sectionHeaderSize,
                    "section headers of %d bytes, expected %d".formatted(size, layout.headerSize));
        }
        count = number;
        headers = file.read(table, count * layout.headerSize, "section headers");
    }

    /// Reads the names of its code; none if it has no symbol table.
    static SymbolTable read(ImageFile file) throws IOException {
        return new ElfSymbols(file).read();
    }

    private SymbolTable read() throws IOException {
        var symbols = new SymbolTable.Builder();
        for (int i = 0; i < count; i++) {
            if (headers.getInt(i * layout.headerSize + TYPE) == SHT_SYMTAB) {
                read(i, symbols);
            }
        }
        return symbols.build();
    }

    private void read(int symbolSection, SymbolTable.Builder symbols) throws IOException {
        int link = symbolSection * layout.headerSize + layout.link;
        int names = headers.getInt(link);
        if (names < 0 || names >= count) {
            throw file.error(
                    table + link,
                    "section %d has the names, expected one of %d".formatted(names, count));
        }
        ByteBuffer entries = section(symbolSection, "symbols");
        ByteBuffer text = section(names, "the symbols' names");
        int last = entries.limit() - layout.symbolSize;
        for (int at = 0; at <= last; at += layout.symbolSize) {
            int type = entries.get(at + layout.info) & TYPE_MASK;
            int section = Short.toUnsignedInt(entries.getShort(at + layout.section));
            if ((type == STT_FUNC || type == STT_NOTYPE) && isCode(section)) {
                byte[] name = name(text, entries.getInt(at));
                if (name.length > 0) {
                    symbols.add(layout.word(entries, at + layout.value), name);
                }
            }
        }
    }

    private ByteBuffer section(int index, String what) throws IOException {
        int at = index * layout.headerSize;
        long size = layout.word(headers, at + layout.size);
        if (size < 0 || size > MAX_TABLE) {
            throw file.error(
                    table + at + layout.size,
                    "0x%x bytes of %s, expected at most 0x%x".formatted(size, what, MAX_TABLE));
        }
        return file.read(layout.word(headers, at + layout.offset), (int) size, what);
    }

    private boolean isCode(int section) {
        return section > 0
                && section < count
                && (layout.word(headers, section * layout.headerSize + layout.flags)
                                & SHF_EXECINSTR)
                        != 0;
    }

    /// What is at `offset` up to a zero; empty if it is not there.
    private static byte[] name(ByteBuffer text, int offset) {
        if (offset < 0 || offset >= text.limit()) {
            return new byte[0];
        }
        int end = offset;
        while (end < text.limit() && text.get(end) != 0) {
            end++;
        }
        byte[] name = new byte[end - offset];
        text.get(offset, name);
        return name;
    }
}
