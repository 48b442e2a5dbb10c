package org.kaval.machine.acpi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.memory.GuestRange;

/// Encodings by the book (ACPI 6.5 chapter 20); that they mean what they should, {@link
/// AcpiTablesTest} has another program say.
class AmlTest {
    private static String hex(byte[] bytes) {
        return HexFormat.ofDelimiter(" ").formatHex(bytes);
    }

    private static String hex(Aml.Term term) {
        return hex(term.code());
    }

    /// A length counts its own bytes: at the borders there is one byte more at once.
    @ParameterizedTest
    @CsvSource({
        "0, 01",
        "62, 3f",
        "63, 41 04",
        "4093, 4f ff",
        "4094, 81 00 01",
        "1048572, 8f ff ff",
        "1048573, c1 00 00 01",
        "268435451, cf ff ff ff",
    })
    void packageLengthHasOneToFourBytes(int contentSize, String expected) {
        assertEquals(expected, hex(AmlEncoding.packageLength(contentSize)));
    }

    @Test
    void packageLengthOfMoreIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> AmlEncoding.packageLength(268_435_452));
    }

    @ParameterizedTest
    @CsvSource({
        "0, 00",
        "1, 01",
        "2, 0a 02",
        "0xff, 0a ff",
        "0x100, 0b 00 01",
        "0xffff, 0b ff ff",
        "0x10000, 0c 00 00 01 00",
        "0xffffffff, 0c ff ff ff ff",
        "0x100000000, 0e 00 00 00 00 01 00 00 00",
        "-2, 0e fe ff ff ff ff ff ff ff",
        "-1, ff",
    })
    void numbersTakeTheFewestBytes(long value, String expected) {
        assertEquals(expected, hex(Aml.integer(value)));
    }

    @ParameterizedTest
    @CsvSource({
        "_HID, 5f 48 49 44",
        "S5, 53 35 5f 5f",
        "\\, 5c 00",
        "\\_SB, 5c 5f 53 42 5f",
        "^A, 5e 41 5f 5f 5f",
        "^^A, 5e 5e 41 5f 5f 5f",
        "A.B, 2e 41 5f 5f 5f 42 5f 5f 5f",
        "\\A.B.C, 5c 2f 03 41 5f 5f 5f 42 5f 5f 5f 43 5f 5f 5f",
    })
    void namesAreFilledUp(String path, String expected) {
        assertEquals(expected, hex(AmlEncoding.name(path)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "ABCDE", "a", "1A", "A.", ".A", "A..B", "^\\A", "A B", "A.ABCDE"})
    void whatIsNoNameIsRefused(String path) {
        assertThrows(IllegalArgumentException.class, () -> AmlEncoding.name(path));
    }

    @ParameterizedTest
    @CsvSource({
        "PNP0501, 0c 41 d0 05 01",
        "PNP0A08, 0c 41 d0 0a 08",
        "PNP0C02, 0c 41 d0 0c 02",
        "ZZZFFFF, 0c 6b 5a ff ff",
    })
    void eisaIdsArePackedLetters(String id, String expected) {
        assertEquals(expected, hex(Aml.eisaId(id)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"PNP05", "PNP05011", "pnp0501", "PN10501", "PNP050G"})
    void whatIsNoEisaIdIsRefused(String id) {
        assertThrows(IllegalArgumentException.class, () -> Aml.eisaId(id));
    }

    @Test
    void uuidIsABufferWithTheFirstPartsTurned() {
        assertEquals(
                "11 13 0a 10 5b 4d db 33 f7 1f 1c 40 96 57 74 41 c0 3d d7 66",
                hex(Aml.uuid("33db4d5b-1ff7-401c-9657-7441c03dd766")));
    }

    @Test
    void objectsHoldTheirParts() {
        assertEquals("08 5f 55 49 44 01", hex(Aml.name("_UID", Aml.integer(1))));
        assertEquals("5b 82 05 41 5f 5f 5f", hex(Aml.device("A")));
        assertEquals(
                "10 0d 5c 5f 53 42 5f 5b 82 05 41 5f 5f 5f",
                hex(Aml.scope("\\_SB", Aml.device("A"))));
        assertEquals(
                "14 08 5f 53 54 41 08 a4 01",
                hex(Aml.method("_STA", 0, Aml.returns(Aml.integer(1)))));
        assertEquals("12 05 02 01 0a 05", hex(Aml.packageOf(Aml.integer(1), Aml.integer(5))));
        assertEquals("0d 41 43 50 49 00", hex(Aml.string("ACPI")));
        assertEquals("11 05 0a 02 07 08", hex(Aml.buffer(new byte[] {7, 8})));
    }

    @Test
    void statementsHoldTheirParts() {
        assertEquals(
                "a0 06 93 68 01 a4 00",
                hex(
                        Aml.ifTrue(
                                Aml.equal(Aml.arg(0), Aml.integer(1)),
                                Aml.returns(Aml.integer(0)))));
        assertEquals("a1 03 a4 60", hex(Aml.orElse(Aml.returns(Aml.local(0)))));
        assertEquals("7b 68 0a 1d 60", hex(Aml.and(Aml.arg(0), Aml.integer(0x1d), Aml.local(0))));
        assertEquals("7d 60 0a 04 60", hex(Aml.or(Aml.local(0), Aml.integer(4), Aml.local(0))));
        assertEquals("92 6e", hex(Aml.not(Aml.arg(6))));
        assertEquals("70 67 43 44 57 33", hex(Aml.store(Aml.local(7), Aml.reference("CDW3"))));
        assertEquals("8a 6b 0a 08 43 44 57 33", hex(Aml.createDwordField(Aml.arg(3), 8, "CDW3")));
    }

    @Test
    void whatDoesNotExistIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> Aml.local(8));
        assertThrows(IllegalArgumentException.class, () -> Aml.arg(7));
        assertThrows(IllegalArgumentException.class, () -> Aml.arg(-1));
        assertThrows(IllegalArgumentException.class, () -> Aml.method("A", 8));
        assertThrows(IllegalArgumentException.class, () -> Aml.string("ä"));
        assertThrows(IllegalArgumentException.class, () -> Aml.packageOf(new Aml.Value[256]));
    }

    private static String template(Resource resource) {
        return hex(Resource.template(resource));
    }

    @Test
    void resourcesAreDescribed() {
        assertEquals(
                "11 0d 0a 0a 47 01 f8 03 f8 03 01 08 79 00",
                template(Resource.io(new GuestRange(0x3f8, 8))));
        assertEquals("11 08 0a 05 22 10 00 79 00", template(Resource.irq(4)));
        assertEquals(
                "11 0e 0a 0b 89 06 00 03 01 15 00 00 00 79 00", template(Resource.interrupt(21)));
        assertEquals(
                "11 11 0a 0e 86 09 00 01 00 00 00 e0 00 00 00 10 79 00",
                template(Resource.memory32(new GuestRange(0xe000_0000L, 0x1000_0000))));
        assertEquals(
                "11 15 0a 12 88 0d 00 02 0c 00 00 00 00 00 ff 00 00 00 00 01 79 00",
                template(Resource.buses(256)));
        assertEquals(
                "11 15 0a 12 88 0d 00 01 0c 03 00 00 00 0d ff ff 00 00 00 f3 79 00",
                template(Resource.ioWindow(new GuestRange(0xd00, 0xf300))));
    }

    @Test
    void windowHasSixtyFourBitsWhereItNeedsThem() {
        assertEquals(
                "11 1f 0a 1c 87 17 00 00 0c 01 00 00 00 00 00 00 00 c0 ff ff ff ff 00 00 00 00 00 00 00 40 79 00",
                template(Resource.memoryWindow(new GuestRange(0xc000_0000L, 0x4000_0000))));
        assertEquals(
                "11 33 0a 30 8a 2b 00 00 0c 01"
                        + " 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00"
                        + " ff ff ff ff 01 00 00 00 00 00 00 00 00 00 00 00"
                        + " 00 00 00 00 01 00 00 00 79 00",
                template(Resource.memoryWindow(new GuestRange(1L << 32, 1L << 32))));
    }

    @Test
    void resourcesThatCannotBeAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> Resource.io(new GuestRange(0xffff, 2)));
        assertThrows(IllegalArgumentException.class, () -> Resource.io(new GuestRange(0, 256)));
        assertThrows(IllegalArgumentException.class, () -> Resource.irq(16));
        assertThrows(
                IllegalArgumentException.class,
                () -> Resource.memory32(new GuestRange(0xffff_ffffL, 2)));
        assertThrows(IllegalArgumentException.class, () -> Resource.buses(257));
    }
}
