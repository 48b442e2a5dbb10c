package org.kaval.devices.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.stream.IntStream;
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
    void nothingIsRecentAtFirst() {
        assertEquals(List.of(), port.recent());
    }

    @Test
    void codesThatFollowEachOtherAreRecent() {
        IntStream.of(0, 0, 1, 1, 1, 0x80, 1).forEach(code -> port.write(0, 1, code));

        assertEquals(List.of(0, 1, 0x80, 1), port.recent());
    }

    @Test
    void oldestCodesAreForgotten() {
        IntStream.range(0, 100).forEach(code -> port.write(0, 1, code));

        assertEquals(List.of(92, 93, 94, 95, 96, 97, 98, 99), port.recent());
        assertEquals(99, port.last());
    }

    @Test
    void codeHasOneByte() {
        port.write(0, 1, 0x1234);

        assertEquals(0x34, port.last());
    }
}
