package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class SharedLineTest {
    private final List<Boolean> levels = new ArrayList<>();
    private final SharedLine shared = new SharedLine(levels::add);
    private final LevelLine first = shared.input();
    private final LevelLine second = shared.input();

    @Test
    void lineIsHighWhileAnyDeviceHoldsItUp() {
        first.set(true);
        second.set(true);
        first.set(false);
        assertEquals(List.of(true), levels);

        second.set(false);

        assertEquals(List.of(true, false), levels);
    }

    @Test
    void deviceThatSaysTheSameTwiceCountsOnce() {
        first.set(true);
        first.set(true);
        first.set(false);
        first.set(false);
        second.set(true);

        assertEquals(List.of(true, false, true), levels);
    }

    @Test
    void risesOfTheLineAreCounted() {
        assertEquals(0, shared.rises());

        first.set(true);
        second.set(true);
        first.set(false);
        second.set(false);
        first.set(true);

        assertEquals(2, shared.rises());
    }

    @Test
    void lowInputLeavesTheLineAlone() {
        first.set(false);

        assertEquals(List.of(), levels);
    }
}
