package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Field;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.kaval.memory.GuestRange;

class BootLayoutTest {
    /// Everything in the table, sorted.
    private static List<GuestRange> ranges() {
        return Stream.of(BootLayout.class.getDeclaredFields())
                .filter(field -> field.getType() == GuestRange.class)
                .map(BootLayoutTest::valueOf)
                .filter(range -> !range.equals(BootLayout.ALL))
                .sorted(Comparator.comparingLong(GuestRange::base))
                .toList();
    }

    private static GuestRange valueOf(Field field) {
        try {
            return (GuestRange) field.get(null);
        } catch (IllegalAccessException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void nothingOverlaps() {
        List<GuestRange> ranges = ranges();

        assertEquals(8, ranges.size());
        assertTrue(
                IntStream.range(1, ranges.size())
                        .noneMatch(i -> ranges.get(i - 1).overlaps(ranges.get(i))));
    }

    @Test
    void everythingIsInMemoryThatIsUsableAndTaken() {
        var usable = new GuestRange(0, MemoryMap.LOW_END);

        assertTrue(usable.holds(BootLayout.ALL.base(), BootLayout.ALL.size()));
        assertTrue(
                ranges().stream()
                        .allMatch(range -> BootLayout.ALL.holds(range.base(), range.size())));
    }

    @Test
    void realModeVectorsAndBiosDataAreLeftAlone() {
        assertTrue(ranges().stream().allMatch(range -> range.base() >= 0x500));
    }

    @Test
    void memoryMapsHaveRoom() {
        assertTrue(BootLayout.MEMORY_MAP.size() >= MemoryMap.MAX_ENTRIES * 24L);
        // in the zero page: from 0x2d0 on
        assertTrue(BootLayout.ZERO_PAGE.size() >= 0x2d0 + MemoryMap.MAX_ENTRIES * 20L);
    }
}
