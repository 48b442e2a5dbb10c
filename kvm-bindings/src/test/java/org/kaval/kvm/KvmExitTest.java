package org.kaval.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Field;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class KvmExitTest {
    /// The constants that are exit reasons: those whose name does not belong to a detail of one.
    private static List<Field> reasons() {
        return Arrays.stream(KvmExit.class.getFields())
                .filter(field -> !field.getName().matches("LIMIT|(INTERNAL_ERROR|SYSTEM_EVENT)_.*"))
                .toList();
    }

    private static int value(Field field) {
        try {
            return field.getInt(null);
        } catch (IllegalAccessException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void nameOfAReasonIsItsConstant() {
        List<String> constants = reasons().stream().map(Field::getName).toList();
        assertEquals(
                constants, reasons().stream().map(reason -> KvmExit.name(value(reason))).toList());
        assertTrue(constants.size() >= 24);
    }

    @Test
    void reasonsAreBelowTheLimit() {
        assertTrue(reasons().stream().allMatch(reason -> value(reason) < KvmExit.LIMIT));
    }

    @Test
    void unknownReasonIsItsNumber() {
        assertEquals("exit 63", KvmExit.name(63));
        assertEquals("exit 64", KvmExit.name(64));
        assertEquals("exit -1", KvmExit.name(-1));
    }
}
