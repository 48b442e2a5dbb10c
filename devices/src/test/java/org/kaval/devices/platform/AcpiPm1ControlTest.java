package org.kaval.devices.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AcpiPm1ControlTest {
    /// SLP_EN and SLP_TYP 5.
    private static final int POWER_OFF = 1 << 13 | 5 << 10;

    private int powerOffs;
    private final AcpiPm1Control control = new AcpiPm1Control(() -> powerOffs++);

    @Test
    void sleepTypeOfS5WithTheEnableBitPowersOff() {
        control.write(0, 2, POWER_OFF);

        assertEquals(1, powerOffs);
    }

    @Test
    void writeOfTheUpperByteAlonePowersOff() {
        control.write(1, 1, POWER_OFF >> 8);

        assertEquals(1, powerOffs);
    }

    @Test
    void writeOfTheLowerByteDoesNothing() {
        control.write(0, 1, 0xff);

        assertEquals(0, powerOffs);
    }

    @Test
    void otherBitsDoNotMatter() {
        control.write(0, 2, POWER_OFF | 0xc3ff);

        assertEquals(1, powerOffs);
    }

    @Test
    void sleepTypeWithoutTheEnableBitDoesNothing() {
        control.write(0, 2, 5 << 10);

        assertEquals(0, powerOffs);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 4, 6, 7})
    void otherSleepTypesAreIgnored(int type) {
        control.write(0, 2, 1 << 13 | type << 10);
        control.write(1, 1, 1 << 5 | type << 2);

        assertEquals(0, powerOffs);
    }

    @ParameterizedTest
    @CsvSource({"0, 2, 0x0001", "0, 1, 0x01", "1, 1, 0x00"})
    void readsAsAlwaysInAcpiMode(int offset, int size, long expected) {
        assertEquals(expected, control.read(offset, size));
    }
}
