package org.kaval.machine.acpi;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.regex.Pattern;

/// How lengths, names and numbers look in AML (ACPI 6.5 §20.2).
final class AmlEncoding {
    private static final int DUAL_NAME = 0x2e;
    private static final int MULTI_NAME = 0x2f;
    private static final int NULL_NAME = 0;
    private static final int SEGMENT = 4;
    private static final int MAX_SEGMENTS = 255;

    private static final int BYTE = 0x0a;
    private static final int WORD = 0x0b;
    private static final int DWORD = 0x0c;
    private static final int QWORD = 0x0e;
    private static final int ONES = 0xff;

    /// `\`, or `^` for each level up; then segments of up to four letters, separated by dots.
    private static final Pattern PATH =
            Pattern.compile("(\\\\|\\^*)((?:[A-Z_][A-Z0-9_]{0,3})(?:\\.[A-Z_][A-Z0-9_]{0,3})*)?");

    private AmlEncoding() {}

    /// The length of a package (§20.2.4), which counts its own one to four bytes.
    ///
    /// @param contentSize how many bytes follow it
    static byte[] packageLength(int contentSize) {
        if (contentSize + 1 < 1 << 6) {
            return new byte[] {(byte) (contentSize + 1)};
        }
        for (int more = 1; more <= 3; more++) {
            int length = contentSize + 1 + more;
            if (length < 1 << (4 + more * Byte.SIZE)) {
                var bytes = new byte[1 + more];
                bytes[0] = (byte) (more << 6 | (length & 0xf));
                for (int i = 1; i <= more; i++) {
                    bytes[i] = (byte) (length >> (4 + (i - 1) * Byte.SIZE));
                }
                return bytes;
            }
        }
        throw new IllegalArgumentException(contentSize + " bytes are more than AML can have");
    }

    /// The path of a name (§20.2.2).
    static byte[] name(String path) {
        var matcher = PATH.matcher(path);
        if (path.isEmpty() || !matcher.matches()) {
            throw new IllegalArgumentException("no ACPI name: " + path);
        }
        String names = matcher.group(2) == null ? "" : matcher.group(2);
        List<String> segments = names.isEmpty() ? List.of() : List.of(names.split("\\.", -1));
        if (segments.size() > MAX_SEGMENTS) {
            throw new IllegalArgumentException("too many parts: " + path);
        }
        var out = new TableBytes().bytes(matcher.group(1).getBytes(StandardCharsets.US_ASCII));
        switch (segments.size()) {
            case 0 -> out.u8(NULL_NAME);
            case 1 -> {}
            case 2 -> out.u8(DUAL_NAME);
            default -> out.u8(MULTI_NAME).u8(segments.size());
        }
        for (String segment : segments) {
            out.text(segment, SEGMENT, '_');
        }
        return out.toBytes();
    }

    /// A number in the fewest bytes (§20.2.3).
    ///
    /// @param value unsigned
    static byte[] integer(long value) {
        var out = new TableBytes();
        if (value == 0 || value == 1) {
            out.u8((int) value); // ZeroOp, OneOp
        } else if (value == -1) {
            out.u8(ONES);
        } else if (value >>> Byte.SIZE == 0) {
            out.u8(BYTE).u8((int) value);
        } else if (value >>> Short.SIZE == 0) {
            out.u8(WORD).u16((int) value);
        } else if (value >>> Integer.SIZE == 0) {
            out.u8(DWORD).u32(value);
        } else {
            out.u8(QWORD).u64(value);
        }
        return out.toBytes();
    }
}
