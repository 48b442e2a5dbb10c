package org.kaval.machine.acpi;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/// Bytes of a table in the making, little-endian.
final class TableBytes {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    TableBytes u8(int value) {
        out.write(value);
        return this;
    }

    TableBytes u16(int value) {
        return put(value, Short.BYTES);
    }

    TableBytes u32(long value) {
        return put(value, Integer.BYTES);
    }

    TableBytes u64(long value) {
        return put(value, Long.BYTES);
    }

    /// Text of a fixed size, filled up with `pad`.
    TableBytes text(String text, int size, char pad) {
        byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
        if (bytes.length > size) {
            throw new IllegalArgumentException("%s has more than %d letters".formatted(text, size));
        }
        out.writeBytes(bytes);
        for (int i = bytes.length; i < size; i++) {
            out.write(pad);
        }
        return this;
    }

    TableBytes bytes(byte[] bytes) {
        out.writeBytes(bytes);
        return this;
    }

    TableBytes zeros(int count) {
        out.writeBytes(new byte[count]);
        return this;
    }

    int size() {
        return out.size();
    }

    byte[] toBytes() {
        return out.toByteArray();
    }

    private TableBytes put(long value, int size) {
        for (int i = 0; i < size; i++) {
            out.write((int) (value >>> (i * Byte.SIZE)));
        }
        return this;
    }
}
