package org.kaval.devices.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DebugExitTest {
    private final List<Integer> codes = new ArrayList<>();
    private final DebugExit exit = new DebugExit(codes::add);

    @ParameterizedTest
    @CsvSource({
        "1, 0x00, 0",
        "1, 0x2a, 42",
        "1, 0xff, 255",
        "2, 0x1234, 4660",
        "4, 0xffffffff, -1"
    })
    void writeEndsTheMachineWithWhatWasWritten(int size, long value, int code) {
        exit.write(0, size, value);

        assertEquals(List.of(code), codes);
    }

    @Test
    void writeBehindTheFirstPortIsIgnored() {
        exit.write(1, 1, 1);
        exit.write(3, 1, 1);

        assertEquals(List.of(), codes);
    }

    @Test
    void readsAsOnesAndEndsNothing() {
        assertEquals(-1, exit.read(0, 4));
        assertEquals(List.of(), codes);
    }

    @Test
    void isWhereTestKernelsExpectIt() {
        assertEquals("0xf4-0xf7", DebugExit.PORTS.toString());
    }
}
