package org.kaval.devices.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class SystemControlPortTest {
    private int restarts;
    private final SystemControlPort port = new SystemControlPort(() -> restarts++);

    @Test
    void addressLine20IsOnAtFirst() {
        assertEquals(2, port.read(0, 1));
    }

    @Test
    void gateOfAddressLine20IsKept() {
        port.write(0, 1, 0);
        assertEquals(0, port.read(0, 1));

        port.write(0, 1, 2);

        assertEquals(2, port.read(0, 1));
        assertEquals(0, restarts);
    }

    @Test
    void initBitRestartsOnItsRise() {
        port.write(0, 1, 3);
        port.write(0, 1, 3);
        assertEquals(1, restarts);

        port.write(0, 1, 2);
        port.write(0, 1, 3);

        assertEquals(2, restarts);
    }

    @Test
    void otherBitsReadAsZero() {
        port.write(0, 1, 0xfe);

        assertEquals(2, port.read(0, 1));
    }
}
