package org.kaval.guests;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// What a kernel module says of itself in the section `.modinfo` of its file: strings `key=value`,
/// each with a null byte behind it.
///
/// @param name of the module, empty if the file has none
/// @param depends modules that must be in the kernel before it
/// @param softDepends modules that should be, where there are such (`softdep=pre: …`)
record ModuleInfo(String name, List<String> depends, List<String> softDepends) {
    private static final int MODINFO_LIMIT = 1 << 20; // 65 KiB is much

    ModuleInfo {
        depends = List.copyOf(depends);
        softDepends = List.copyOf(softDepends);
    }

    /// Reads it from a file.
    ///
    /// @throws IOException if `file` is no relocatable ELF file of 64 bits, little endian, with
    ///   such a section: one line with the offset
    static ModuleInfo read(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file)) {
            return parse(new Elf(file, channel).section(".modinfo", MODINFO_LIMIT));
        }
    }

    static ModuleInfo parse(ByteBuffer modinfo) {
        String name = "";
        List<String> depends = new ArrayList<>();
        List<String> soft = new ArrayList<>();
        for (String entry :
                StandardCharsets.ISO_8859_1.decode(modinfo).toString().split("\0", -1)) {
            int sign = entry.indexOf('=');
            String key = sign < 0 ? "" : entry.substring(0, sign);
            String value = entry.substring(sign + 1);
            switch (key) {
                case "name" -> name = value;
                case "depends" -> words(value, ",").forEach(depends::add);
                case "softdep" -> softBefore(value).forEach(soft::add);
                default -> {} // licence, parameters, aliases
            }
        }
        return new ModuleInfo(name, depends, soft);
    }

    /// Of `pre: a b post: c`, a and b.
    private static Stream<String> softBefore(String value) {
        int from = value.indexOf("pre:");
        int to = value.indexOf("post:", Math.max(from, 0));
        if (from < 0) {
            return Stream.of();
        }
        return words(value.substring(from + "pre:".length(), to < 0 ? value.length() : to), "\\s+");
    }

    private static Stream<String> words(String text, String separator) {
        return Stream.of(text.split(separator, -1)).map(String::strip).filter(s -> !s.isEmpty());
    }

    /// Finds sections (System V ABI, "Object Files"). No number of the file is believed.
    private record Elf(Path file, FileChannel channel) {
        private static final int HEADER = 64, SECTION_HEADER = 64;
        private static final int SECTIONS_LIMIT =
                0xff00; // SHN_LORESERVE: more are counted otherwise
        private static final int NAMES_LIMIT = 4 << 20;

        ByteBuffer section(String name, int limit) throws IOException {
            ByteBuffer header = read(0, HEADER, "the ELF header");
            expect(header.getInt(0) == 0x464c457f, 0, "the mark of an ELF file, 7f 45 4c 46");
            expect(header.get(4) == 2 && header.get(5) == 1, 4, "64 bits, little endian: 02 01");
            expect(header.getShort(16) == 1, 16, "a relocatable file: type 1");
            expect(header.getShort(58) == SECTION_HEADER, 58, "section headers of 64 bytes");
            int count = Short.toUnsignedInt(header.getShort(60));
            expect(count > 0 && count < SECTIONS_LIMIT, 60, "1 to 65279 sections");
            int namesIndex = Short.toUnsignedInt(header.getShort(62));
            expect(namesIndex < count, 62, "an index of a section, below " + count);
            long tableAt = header.getLong(40);
            ByteBuffer table = read(tableAt, count * SECTION_HEADER, "the section headers");
            ByteBuffer names = content(table, tableAt, namesIndex, NAMES_LIMIT, "section names");
            for (int i = 0; i < count; i++) {
                if (name.equals(string(names, table.getInt(i * SECTION_HEADER)))) {
                    return content(table, tableAt, i, limit, name);
                }
            }
            throw new IOException(file + ": no section " + name + ": expected a kernel module");
        }

        private ByteBuffer content(
                ByteBuffer table, long tableAt, int index, int limit, String what)
                throws IOException {
            int entry = index * SECTION_HEADER;
            long size = table.getLong(entry + 32);
            expect(
                    size >= 0 && size <= limit,
                    tableAt + entry + 32,
                    "at most %d bytes of %s, not 0x%x".formatted(limit, what, size));
            return read(table.getLong(entry + 24), (int) size, what);
        }

        /// The string at `offset`, empty if that is outside.
        private static String string(ByteBuffer names, int offset) {
            int end = offset;
            if (offset < 0) {
                return "";
            }
            while (end < names.limit() && names.get(end) != 0) {
                end++;
            }
            return end >= names.limit()
                    ? ""
                    : StandardCharsets.ISO_8859_1
                            .decode(names.slice(offset, end - offset))
                            .toString();
        }

        private ByteBuffer read(long offset, int size, String what) throws IOException {
            long fileSize = channel.size();
            if (offset < 0 || offset > fileSize || size > fileSize - offset) {
                throw new IOException(
                        "%s: offset 0x%x: expected %d bytes of %s, but the file ends at 0x%x"
                                .formatted(file, offset, size, what, fileSize));
            }
            ByteBuffer buffer = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
            while (buffer.hasRemaining()) {
                if (channel.read(buffer, offset + buffer.position()) < 0) {
                    throw new IOException(file + ": was made shorter while it was read");
                }
            }
            return buffer.flip();
        }

        private void expect(boolean holds, long offset, String expected) throws IOException {
            if (!holds) {
                throw new IOException(
                        "%s: offset 0x%x: expected %s".formatted(file, offset, expected));
            }
        }
    }
}
