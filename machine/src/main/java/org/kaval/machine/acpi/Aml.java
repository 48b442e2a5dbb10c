package org.kaval.machine.acpi;

import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.UUID;
import java.util.regex.Pattern;

/// Builds AML, the code in which ACPI describes devices (ACPI 6.5 chapters 19 and 20): each method
/// is the ASL operator of that name, as far as Kaval's tables need one.
///
/// Names have up to four letters, digits and underscores, and are filled up with underscores; paths
/// have dots, and begin with `\` at the root. What is no name is an {@link
/// IllegalArgumentException}.
public final class Aml {
    private static final int NAME = 0x08;
    private static final int STRING = 0x0d;
    private static final int SCOPE = 0x10;
    private static final int BUFFER = 0x11;
    private static final int PACKAGE = 0x12;
    private static final int METHOD = 0x14;
    private static final int EXTENDED = 0x5b;
    private static final int DEVICE = 0x82;
    private static final int LOCAL_0 = 0x60;
    private static final int ARG_0 = 0x68;
    private static final int STORE = 0x70;
    private static final int AND = 0x7b;
    private static final int OR = 0x7d;
    private static final int CREATE_DWORD_FIELD = 0x8a;
    private static final int NOTIFY = 0x86;
    private static final int NOT = 0x92;
    private static final int EQUAL = 0x93;
    private static final int IF = 0xa0;
    private static final int ELSE = 0xa1;
    private static final int RETURN = 0xa4;

    private static final int MAX_ARGS = 7;
    private static final int LOCALS = 8;
    private static final int MAX_ELEMENTS = 255;
    private static final int SERIALIZED = 1 << 3;
    private static final Pattern EISA_ID = Pattern.compile("[A-Z]{3}[0-9A-F]{4}");

    private Aml() {}

    /// A piece of AML: an object or a statement.
    public static sealed class Term permits Value {
        private final byte[] code;

        private Term(byte[] code) {
            this.code = code;
        }

        byte[] code() {
            return code.clone();
        }
    }

    /// A piece of AML that has a value. As a statement, its value is dropped.
    public static final class Value extends Term {
        private Value(byte[] code) {
            super(code);
        }
    }

    /// A named value.
    public static Term name(String path, Value value) {
        return new Term(
                new TableBytes()
                        .u8(NAME)
                        .bytes(AmlEncoding.name(path))
                        .bytes(value.code())
                        .toBytes());
    }

    /// Objects in a place that there is already.
    public static Term scope(String path, Term... terms) {
        return new Term(packaged(SCOPE, AmlEncoding.name(path), concatenated(terms)));
    }

    /// A device, with the objects that describe it.
    public static Term device(String path, Term... terms) {
        byte[] device = packaged(DEVICE, AmlEncoding.name(path), concatenated(terms));
        return new Term(new TableBytes().u8(EXTENDED).bytes(device).toBytes());
    }

    /// A method that runs on one thread at a time.
    ///
    /// @param args how many arguments it has, 0 to 7
    public static Term method(String path, int args, Term... terms) {
        checkIndex(args, MAX_ARGS + 1);
        byte[] head =
                new TableBytes().bytes(AmlEncoding.name(path)).u8(args | SERIALIZED).toBytes();
        return new Term(packaged(METHOD, head, concatenated(terms)));
    }

    /// Does `terms` if `condition` is not 0.
    public static Term ifTrue(Value condition, Term... terms) {
        return new Term(packaged(IF, condition.code(), concatenated(terms)));
    }

    /// Does `terms` if the condition of the {@link #ifTrue} just before was 0.
    public static Term orElse(Term... terms) {
        return new Term(packaged(ELSE, new byte[0], concatenated(terms)));
    }

    /// Ends the method.
    public static Term returns(Value value) {
        return new Term(new TableBytes().u8(RETURN).bytes(value.code()).toBytes());
    }

    /// Tells the system that something has happened to a device.
    ///
    /// @param event what: 0x80 and above are the device's own to define
    public static Term notify(String path, int event) {
        return new Term(
                new TableBytes()
                        .u8(NOTIFY)
                        .bytes(AmlEncoding.name(path))
                        .bytes(integer(event).code())
                        .toBytes());
    }

    /// Makes a name for four bytes of a buffer.
    ///
    /// @param byteIndex where they are
    public static Term createDwordField(Value buffer, int byteIndex, String name) {
        return new Term(
                new TableBytes()
                        .u8(CREATE_DWORD_FIELD)
                        .bytes(buffer.code())
                        .bytes(integer(byteIndex).code())
                        .bytes(AmlEncoding.name(name))
                        .toBytes());
    }

    /// Writes a value to a local variable, an argument or a name.
    public static Value store(Value value, Value target) {
        return operator(STORE, value, target);
    }

    /// The bits that both have; goes to `target` too.
    public static Value and(Value left, Value right, Value target) {
        return operator(AND, left, right, target);
    }

    /// The bits that either has; goes to `target` too.
    public static Value or(Value left, Value right, Value target) {
        return operator(OR, left, right, target);
    }

    /// Whether two values are the same.
    public static Value equal(Value left, Value right) {
        return operator(EQUAL, left, right);
    }

    /// Whether a value is 0.
    public static Value not(Value value) {
        return operator(NOT, value);
    }

    /// A local variable of the method.
    ///
    /// @param index 0 to 7
    public static Value local(int index) {
        checkIndex(index, LOCALS);
        return new Value(new byte[] {(byte) (LOCAL_0 + index)});
    }

    /// An argument of the method.
    ///
    /// @param index 0 to 6
    public static Value arg(int index) {
        checkIndex(index, MAX_ARGS);
        return new Value(new byte[] {(byte) (ARG_0 + index)});
    }

    /// What a name stands for.
    public static Value reference(String path) {
        return new Value(AmlEncoding.name(path));
    }

    /// A number of up to 64 bits, unsigned.
    public static Value integer(long value) {
        return new Value(AmlEncoding.integer(value));
    }

    /// Text.
    ///
    /// @param text ASCII without 0
    public static Value string(String text) {
        if (text.chars().anyMatch(letter -> letter == 0 || letter > 0x7f)) {
            throw new IllegalArgumentException("not ASCII: " + text);
        }
        return new Value(
                new TableBytes()
                        .u8(STRING)
                        .bytes(text.getBytes(StandardCharsets.US_ASCII))
                        .u8(0)
                        .toBytes());
    }

    /// Bytes.
    public static Value buffer(byte[] bytes) {
        return new Value(packaged(BUFFER, integer(bytes.length).code(), bytes));
    }

    /// A list of values.
    ///
    /// @param elements 255 at most
    public static Value packageOf(Value... elements) {
        checkIndex(elements.length, MAX_ELEMENTS + 1);
        return new Value(
                packaged(PACKAGE, new byte[] {(byte) elements.length}, concatenated(elements)));
    }

    /// The number that stands for an EISA id (§19.6.37).
    ///
    /// @param id three letters and four hexadecimal digits: `PNP0501`
    public static Value eisaId(String id) {
        if (!EISA_ID.matcher(id).matches()) {
            throw new IllegalArgumentException("no EISA id: " + id);
        }
        int letters = 0;
        for (int i = 0; i < 3; i++) {
            letters = letters << 5 | (id.charAt(i) - 'A' + 1);
        }
        int number = HexFormat.fromHexDigits(id, 3, 7);
        return integer(
                Integer.toUnsignedLong(Integer.reverseBytes(letters << Short.SIZE | number)));
    }

    /// The bytes that stand for a UUID (§19.6.142): the first three parts are little-endian.
    public static Value uuid(String text) {
        UUID uuid = UUID.fromString(text);
        long high = uuid.getMostSignificantBits();
        return buffer(
                new TableBytes()
                        .u32(high >>> 32)
                        .u16((int) (high >>> 16))
                        .u16((int) high)
                        .u64(Long.reverseBytes(uuid.getLeastSignificantBits()))
                        .toBytes());
    }

    private static Value operator(int code, Value... operands) {
        return new Value(new TableBytes().u8(code).bytes(concatenated(operands)).toBytes());
    }

    private static byte[] packaged(int code, byte[] head, byte[] body) {
        return new TableBytes()
                .u8(code)
                .bytes(AmlEncoding.packageLength(head.length + body.length))
                .bytes(head)
                .bytes(body)
                .toBytes();
    }

    private static byte[] concatenated(Term... terms) {
        var out = new TableBytes();
        for (Term term : terms) {
            out.bytes(term.code);
        }
        return out.toBytes();
    }

    private static void checkIndex(int index, int end) {
        if (index < 0 || index >= end) {
            throw new IllegalArgumentException(index + " is not below " + end);
        }
    }
}
