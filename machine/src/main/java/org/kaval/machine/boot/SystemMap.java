package org.kaval.machine.boot;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.IOException;
import java.nio.ByteBuffer;

/// Linux's `System.map`: a line for each symbol, as nm(1) prints them.
///
/// ```
/// ffffffff81000000 T startup_64
/// ```
final class SystemMap {
    /// That of a kernel with everything built in has less than half of it.
    private static final long MAX_SIZE = 64 << 20;

    private static final int CHUNK = 1 << 20;
    private static final int DIGITS = 16;
    private static final int TYPE = DIGITS + 1;
    private static final int NAME = TYPE + 2;
    private static final int MAX_LINE = 1024;

    private final ImageFile file;
    private final SymbolTable.Builder symbols = new SymbolTable.Builder();
    private final byte[] line = new byte[MAX_LINE];
    private int length;
    private long lineOffset;

    private SystemMap(ImageFile file) {
        this.file = file;
    }

    static SymbolTable read(ImageFile file) throws IOException {
        if (file.size() > MAX_SIZE) {
            throw file.error(
                    MAX_SIZE,
                    "0x%x bytes, expected a System.map of at most 0x%x"
                            .formatted(file.size(), MAX_SIZE));
        }
        return new SystemMap(file).read();
    }

    private SymbolTable read() throws IOException {
        for (long at = 0; at < file.size(); at += CHUNK) {
            int count = (int) Math.min(CHUNK, file.size() - at);
            ByteBuffer bytes = file.read(at, count, "a System.map");
            for (int i = 0; i < count; i++) {
                take(bytes.get(i), at + i);
            }
        }
        endLine();
        return symbols.build();
    }

    private void take(byte next, long offset) throws BootFileException {
        if (next == '\n') {
            endLine();
            lineOffset = offset + 1;
        } else if (length == MAX_LINE) {
            throw wrong();
        } else {
            line[length++] = next;
        }
    }

    private void endLine() throws BootFileException {
        if (length == 0) {
            return;
        }
        if (length <= NAME || line[DIGITS] != ' ' || line[TYPE + 1] != ' ') {
            throw wrong();
        }
        long address;
        try {
            address = Long.parseUnsignedLong(new String(line, 0, DIGITS, US_ASCII), 16);
        } catch (NumberFormatException e) {
            throw wrong();
        }
        if (isCode(line[TYPE])) {
            byte[] name = new byte[length - NAME];
            System.arraycopy(line, NAME, name, 0, name.length);
            symbols.add(address, name);
        }
        length = 0;
    }

    /// The text section's symbols, and weak ones, of which some are functions (nm(1)).
    private static boolean isCode(byte type) {
        return type == 't' || type == 'T' || type == 'w' || type == 'W';
    }

    private BootFileException wrong() {
        return file.error(
                lineOffset, "no line of a System.map, expected 16 digits, a type and a name");
    }
}
