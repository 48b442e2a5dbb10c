package org.kaval.devices.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class PostCodePortTest {
    private final PostCodePort port = new PostCodePort();

    @Test
    void lastCodeIsRemembered() {
        assertEquals(0, port.last());

        port.write(0, 1, 0x19);
        port.write(0, 1, 0xfe);

        assertEquals(0xfe, port.last());
        assertEquals(0xfe, port.read(0, 1));
    }

    @Test
    void codeHasOneByte() {
        port.write(0, 1, 0x1234);

        assertEquals(0x34, port.last());
    }
}
