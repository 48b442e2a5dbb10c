package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.machine.ConfigException;

class CpuCountTest {
    @Test
    void numberIsThatManyCores() {
        assertEquals(new CpuCount(1, 4, 1), CpuCount.parse("4"));
    }

    @Test
    void whatIsNotGivenIsOne() {
        assertEquals(new CpuCount(1, 1, 2), CpuCount.parse("threads=2"));
        assertEquals(new CpuCount(2, 3, 4), CpuCount.parse("cores=3,sockets=2,threads=4"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "x",
                "1x",
                "cores=",
                "cores=2,",
                "cores=2,cores=3",
                "dies=1",
                "=2",
                "4,5"
            })
    void nonsenseIsRefused(String text) {
        var refused = assertThrows(ConfigException.class, () -> CpuCount.parse(text));
        assertEquals("cpus", refused.path());
    }
}
