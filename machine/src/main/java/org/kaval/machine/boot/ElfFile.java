package org.kaval.machine.boot;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// The headers of an ELF kernel for x86 (System V ABI, "Object Files"; its AMD64 supplement).
///
/// @param is64 whether it is of the 64-bit class
/// @param entry of the ELF header
/// @param segments what is to be loaded, in the file's order
/// @param pvhEntry of the note of PVH (`XEN_ELFNOTE_PHYS32_ENTRY`)
record ElfFile(
        boolean is64, EntryPoint entry, List<Segment> segments, Optional<EntryPoint> pvhEntry) {
    ElfFile {
        segments = List.copyOf(segments);
    }

    /// What differs between the classes: offsets in the ELF header and in a program header.
    private enum Layout {
        ELF32(52, 28, 42, 32, 4, 8, 12, 16, 20, 28, EM_386),
        ELF64(64, 32, 54, 56, 8, 16, 24, 32, 40, 48, EM_X86_64);

        final int headerSize;
        final int programHeaders;
        final int entrySize;
        final int programHeaderSize;
        final int offset;
        final int virtualAddress;
        final int address;
        final int fileSize;
        final int memorySize;
        final int alignment;
        final int machine;

        Layout(
                int headerSize,
                int programHeaders,
                int entrySize,
                int programHeaderSize,
                int offset,
                int virtualAddress,
                int address,
                int fileSize,
                int memorySize,
                int alignment,
                int machine) {
            this.headerSize = headerSize;
            this.programHeaders = programHeaders;
            this.entrySize = entrySize;
            this.programHeaderSize = programHeaderSize;
            this.offset = offset;
            this.virtualAddress = virtualAddress;
            this.address = address;
            this.fileSize = fileSize;
            this.memorySize = memorySize;
            this.alignment = alignment;
            this.machine = machine;
        }

        /// Reads a number of the width that addresses have.
        long word(ByteBuffer bytes, int offset) {
            return this == ELF64
                    ? bytes.getLong(offset)
                    : Integer.toUnsignedLong(bytes.getInt(offset));
        }
    }

    /// `\x7f` `ELF`
    static final int MAGIC = 0x464c_457f;

    private static final int ENTRY = 24;

    private static final int IDENTIFICATION = 16;

    /// Where the class is.
    static final int CLASS = 4;

    private static final int DATA = 5;
    private static final int VERSION = 6;
    private static final int TYPE = 16;
    private static final int MACHINE = 18;
    private static final int CLASS_32 = 1;
    private static final int CLASS_64 = 2;
    private static final int LITTLE_ENDIAN = 1;
    private static final int ET_EXEC = 2;
    private static final int ET_DYN = 3;
    private static final int EM_386 = 3;
    private static final int EM_X86_64 = 62;
    private static final int PT_LOAD = 1;
    private static final int PT_NOTE = 4;

    /// How much of a note segment is looked at; those of kernels have some hundred bytes.
    private static final long MAX_NOTES = 1 << 20;

    private static final int NOTE_HEADER = 12;
    private static final int XEN_ELFNOTE_PHYS32_ENTRY = 18;

    /// `Xen` and a zero
    private static final int XEN = 0x006e_6558;

    /// Whether `beginning` is that of an ELF file.
    static boolean isIn(ByteBuffer beginning) {
        return beginning.limit() >= 4 && beginning.getInt(0) == MAGIC;
    }

    /// Reads and checks the headers; whether the segments fit a machine is {@link Segments}'s.
    static ElfFile read(ImageFile file) throws IOException {
        Layout layout = layout(file, file.read(0, IDENTIFICATION, "an ELF header"));
        ByteBuffer header = file.read(0, layout.headerSize, "an ELF header");
        int type = Short.toUnsignedInt(header.getShort(TYPE));
        if (type != ET_EXEC && type != ET_DYN) {
            throw file.error(
                    TYPE, "ELF type %d, expected 2 (executable) or 3 (shared)".formatted(type));
        }
        int machine = Short.toUnsignedInt(header.getShort(MACHINE));
        if (machine != layout.machine) {
            throw file.error(
                    MACHINE,
                    "ELF machine %d, expected %d (x86 of %d bits)"
                            .formatted(machine, layout.machine, layout == Layout.ELF64 ? 64 : 32));
        }
        int entrySize = Short.toUnsignedInt(header.getShort(layout.entrySize));
        int count = Short.toUnsignedInt(header.getShort(layout.entrySize + 2));
        if (count > 0 && entrySize != layout.programHeaderSize) {
            throw file.error(
                    layout.entrySize,
                    "program headers of %d bytes, expected %d"
                            .formatted(entrySize, layout.programHeaderSize));
        }
        return read(file, layout, header, count);
    }

    private static ElfFile read(ImageFile file, Layout layout, ByteBuffer header, int count)
            throws IOException {
        long table = layout.word(header, layout.programHeaders);
        ByteBuffer headers = file.read(table, count * layout.programHeaderSize, "program headers");
        var segments = new ArrayList<Segment>();
        Optional<EntryPoint> pvhEntry = Optional.empty();
        for (int i = 0; i < count; i++) {
            int at = i * layout.programHeaderSize;
            Segment segment = segment(layout, headers, i, table);
            int type = headers.getInt(at);
            if (type == PT_LOAD && segment.memorySize() != 0) {
                checkSize(file, segment);
                segments.add(segment);
            } else if (type == PT_NOTE && pvhEntry.isEmpty()) {
                boolean wide = layout.word(headers, at + layout.alignment) == Long.BYTES;
                pvhEntry = pvhEntry(file, segment, wide ? Long.BYTES : Integer.BYTES);
            }
        }
        if (segments.isEmpty()) {
            throw file.error(layout.programHeaders, "no segments to load, expected at least one");
        }
        var entry = new EntryPoint(layout.word(header, ENTRY), ENTRY);
        return new ElfFile(layout == Layout.ELF64, entry, segments, pvhEntry);
    }

    private static Layout layout(ImageFile file, ByteBuffer identification)
            throws BootFileException {
        if (identification.getInt(0) != MAGIC) {
            throw file.error(
                    0,
                    "magic number 0x%08x, expected 0x%x (ELF)"
                            .formatted(identification.getInt(0), MAGIC));
        }
        int type = identification.get(CLASS);
        if (type != CLASS_32 && type != CLASS_64) {
            throw file.error(
                    CLASS, "ELF class %d, expected 1 (32 bits) or 2 (64 bits)".formatted(type));
        }
        if (identification.get(DATA) != LITTLE_ENDIAN) {
            throw file.error(
                    DATA,
                    "ELF byte order %d, expected 1 (little-endian)"
                            .formatted(identification.get(DATA)));
        }
        if (identification.get(VERSION) != 1) {
            throw file.error(
                    VERSION, "ELF version %d, expected 1".formatted(identification.get(VERSION)));
        }
        return type == CLASS_64 ? Layout.ELF64 : Layout.ELF32;
    }

    private static Segment segment(Layout layout, ByteBuffer headers, int index, long table) {
        int at = index * layout.programHeaderSize;
        return new Segment(
                index,
                table + at,
                layout.word(headers, at + layout.offset),
                layout.word(headers, at + layout.fileSize),
                layout.word(headers, at + layout.virtualAddress),
                layout.word(headers, at + layout.address),
                layout.word(headers, at + layout.memorySize));
    }

    private static void checkSize(ImageFile file, Segment segment) throws BootFileException {
        if (Long.compareUnsigned(segment.fileSize(), segment.memorySize()) > 0) {
            throw file.error(
                    segment.header(),
                    "segment %d has 0x%x bytes in the file, expected at most its 0x%x in memory"
                            .formatted(segment.index(), segment.fileSize(), segment.memorySize()));
        }
        if (!file.holds(segment.offset(), segment.fileSize())) {
            throw file.error(
                    segment.header(),
                    "segment %d has 0x%x bytes at 0x%x, expected them before the file's end at 0x%x"
                            .formatted(
                                    segment.index(),
                                    segment.fileSize(),
                                    segment.offset(),
                                    file.size()));
        }
    }

    /// Looks for the note in one segment of notes.
    private static Optional<EntryPoint> pvhEntry(ImageFile file, Segment segment, int alignment)
            throws IOException {
        int length = (int) Math.min(segment.fileSize() & Long.MAX_VALUE, MAX_NOTES);
        ByteBuffer notes = file.read(segment.offset(), length, "notes");
        long at = 0;
        while (at + NOTE_HEADER <= length) {
            int note = (int) at;
            long nameSize = Integer.toUnsignedLong(notes.getInt(note));
            long size = Integer.toUnsignedLong(notes.getInt(note + 4));
            int type = notes.getInt(note + 8);
            long name = at + NOTE_HEADER;
            long value = roundUp(name + nameSize, alignment);
            if (value + size > length) {
                break; // not a note, or behind what is looked at
            }
            if (type == XEN_ELFNOTE_PHYS32_ENTRY
                    && nameSize == Integer.BYTES
                    && notes.getInt((int) name) == XEN) {
                return Optional.of(entry(file, notes, segment.offset(), (int) value, size));
            }
            at = roundUp(value + size, alignment);
        }
        return Optional.empty();
    }

    private static EntryPoint entry(
            ImageFile file, ByteBuffer notes, long segment, int value, long size)
            throws BootFileException {
        if (size != Integer.BYTES && size != Long.BYTES) {
            throw file.error(
                    segment + value, "a PVH entry of %d bytes, expected 4 or 8".formatted(size));
        }
        long address =
                size == Long.BYTES
                        ? notes.getLong(value)
                        : Integer.toUnsignedLong(notes.getInt(value));
        if (address >>> Integer.SIZE != 0) {
            throw file.error(
                    segment + value,
                    "PVH entry 0x%x, expected an address of 32 bits".formatted(address));
        }
        return new EntryPoint(address, segment + value);
    }

    private static long roundUp(long value, int alignment) {
        return (value + alignment - 1) & -alignment;
    }
}
