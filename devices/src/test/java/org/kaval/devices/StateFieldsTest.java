package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import org.junit.jupiter.api.Test;

class StateFieldsTest {
    private static StateFields restoring(Map<String, Object> saved) {
        return StateFields.restoring(saved, 0);
    }

    private static String refusal(Runnable restoring) {
        return String.valueOf(assertThrows(StateException.class, restoring::run).getMessage());
    }

    @Test
    void whatIsSavedIsRestored() {
        var saving = StateFields.saving();
        saving.number("number", -5);
        saving.flag("flag", true);
        saving.fill("bytes", new byte[] {1, 2});
        saving.part("part").number("inner", 7, 0, 7);

        var restoring = restoring(saving.saved());
        byte[] bytes = new byte[2];
        restoring.fill("bytes", bytes);

        assertEquals(-5, restoring.number("number", 0));
        assertTrue(restoring.flag("flag", false));
        assertArrayEquals(new byte[] {1, 2}, bytes);
        assertEquals(7, restoring.part("part").number("inner", 0, 0, 7));
        restoring.checkAllTaken();
    }

    @Test
    void savingReturnsThePresentValuesAndCopiesBytes() {
        var saving = StateFields.saving();
        byte[] bytes = {1};

        assertEquals(3, saving.number("number", 3, 0, 5));
        saving.fill("bytes", bytes);
        bytes[0] = 2;

        assertArrayEquals(new byte[] {1}, (byte[]) saving.saved().get("bytes"));
        assertEquals(0, saving.elapsedNanos());
    }

    @Test
    void fieldThatAnOlderSnapshotLacksKeepsItsValue() {
        var restoring = restoring(Map.of());

        assertEquals(3, restoring.number("number", 3));
        assertTrue(restoring.flag("flag", true));
        assertEquals(4, restoring.part("part").number("inner", 4, 0, 9));
        assertFalse(restoring.hasPart("part"));
        restoring.checkAllTaken();
    }

    @Test
    void fieldOfANewerVersionIsRefused() {
        var restoring = restoring(Map.of("part", Map.of("novelty", 1L)));
        restoring.part("part");

        assertEquals("this version knows no part.novelty", refusal(restoring::checkAllTaken));
    }

    @Test
    void numberOutOfItsRangeIsRefused() {
        var part = restoring(Map.of("uart", Map.of("fifo", 17L))).part("uart");

        assertEquals(
                "uart.fifo is 17; from 0 to 16 is possible",
                refusal(() -> part.number("fifo", 0, 0, 16)));
    }

    @Test
    void fieldOfAnotherKindIsRefused() {
        var restoring = restoring(Map.of("a", true, "b", 1L, "c", 1L, "d", 1L));

        assertEquals("a is no number", refusal(() -> restoring.number("a", 0)));
        assertEquals("b is no flag", refusal(() -> restoring.flag("b", false)));
        assertEquals("c is no string of bytes", refusal(() -> restoring.fill("c", new byte[1])));
        assertEquals("d is no part", refusal(() -> restoring.part("d")));
    }

    @Test
    void bytesOfAnotherLengthAreRefused() {
        var restoring = restoring(Map.of("ram", new byte[3]));

        assertEquals(
                "ram is 3 bytes and has to be 4",
                refusal(() -> restoring.fill("ram", new byte[4])));
    }

    @Test
    void whatCannotChangeHasToBeTheSame() {
        var restoring = restoring(Map.of("sectors", 16L));

        restoring.same("sectors", 16, "the disk");
        assertEquals(
                "the disk is 0x20, and was 0x10 when the snapshot was made",
                refusal(() -> restoring.same("sectors", 32, "the disk")));
    }
}
