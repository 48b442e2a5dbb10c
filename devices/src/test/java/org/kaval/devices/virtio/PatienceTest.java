package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class PatienceTest {
    private static final long SECOND = 1_000_000_000;

    @Test
    void thereIsNoneAtFirst() {
        assertEquals(0, new Patience(true).nanos());
    }

    @Test
    void shortSleepMakesIt() {
        var patience = new Patience(true);
        patience.slept(10_000);
        assertEquals(Patience.MAX_NANOS, patience.nanos());
    }

    @Test
    void longSleepsEndIt() {
        var patience = new Patience(true);
        patience.slept(10_000);
        patience.slept(SECOND);
        assertTrue(patience.nanos() < Patience.MAX_NANOS && patience.nanos() > 0);
        for (int i = 0; i < 10; i++) {
            patience.slept(SECOND);
        }
        assertEquals(0, patience.nanos());
    }

    @Test
    void withOneProcessorThereIsNone() {
        var patience = new Patience(false);
        patience.slept(10_000);
        assertEquals(0, patience.nanos());
    }
}
