package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.OptionalLong;
import java.util.function.LongPredicate;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.memory.GuestRange;

class FreeMemoryTest {
    private static final long MEBIBYTE = 1 << 20;
    private static final long PAGE = 4096;

    private static FreeMemory of(GuestRange... ram) {
        return new FreeMemory(List.of(ram), MemoryMap.of(List.of(ram), List.of()));
    }

    @Test
    void layoutAndReservedMemoryAreNotFree() {
        FreeMemory free = of(new GuestRange(0, 4 * MEBIBYTE));

        assertFalse(free.holds(0, 1));
        assertFalse(free.holds(BootLayout.ALL.end() - 1, 1));
        assertTrue(free.holds(BootLayout.ALL.end(), 1));
        assertFalse(free.holds(0x9_fc00, 1));
        assertTrue(free.holds(MEBIBYTE, 3 * MEBIBYTE));
        assertFalse(free.holds(4 * MEBIBYTE, 1));
    }

    @Test
    void takenMemoryIsNotFree() {
        FreeMemory free = of(new GuestRange(0, 4 * MEBIBYTE));

        free.take(new GuestRange(2 * MEBIBYTE, PAGE));

        assertFalse(free.holds(2 * MEBIBYTE, PAGE));
        assertTrue(free.holds(MEBIBYTE, MEBIBYTE));
        assertTrue(free.holds(2 * MEBIBYTE + PAGE, PAGE));
    }

    @Test
    void neighbouringRegionsAreNotOne() {
        FreeMemory free =
                of(new GuestRange(0, 2 * MEBIBYTE), new GuestRange(2 * MEBIBYTE, 2 * MEBIBYTE));

        assertFalse(free.holds(2 * MEBIBYTE - PAGE, 2 * PAGE));
    }

    @Test
    void highestLooksAboveTheHoleOnlyIfItMay() {
        FreeMemory free =
                of(new GuestRange(0, 4 * MEBIBYTE), new GuestRange(4L << 30, 4 * MEBIBYTE));

        assertEquals(
                OptionalLong.of(4 * MEBIBYTE - PAGE), free.highest(PAGE, PAGE, MEBIBYTE, 4L << 30));
        assertEquals(
                OptionalLong.of((4L << 30) + 4 * MEBIBYTE - PAGE),
                free.highest(PAGE, PAGE, MEBIBYTE, Long.MAX_VALUE));
    }

    @Test
    void hugeSizesFindNoPlace() {
        FreeMemory free = of(new GuestRange(0, 4 * MEBIBYTE));

        assertEquals(OptionalLong.empty(), free.highest(1L << 62, PAGE, 0, Long.MAX_VALUE));
        assertEquals(OptionalLong.empty(), free.lowest(1L << 62, PAGE, 0, Long.MAX_VALUE));
    }

    static IntStream seeds() {
        return IntStream.range(0, 200);
    }

    /// Compares with trying every page of 2 MiB.
    @ParameterizedTest
    @MethodSource("seeds")
    void placesAreThoseThatTryingEveryPageFinds(int seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        FreeMemory free = of(new GuestRange(0, 2 * MEBIBYTE));
        IntStream.range(0, 4).forEach(_ -> free.take(range(random)));
        long size = (1 + random.nextInt(40)) * PAGE;
        long alignment = PAGE << random.nextInt(4);
        long from = random.nextInt(512) * PAGE;
        long end = random.nextInt(600) * PAGE;
        LongPredicate fits =
                base ->
                        base % alignment == 0
                                && base >= from
                                && base + size <= end
                                && free.holds(base, size);

        assertEquals(
                LongStream.range(0, 512).map(i -> i * PAGE).filter(fits).findFirst(),
                free.lowest(size, alignment, from, end),
                "seed " + seed);
        assertEquals(
                LongStream.range(0, 512).map(i -> (511 - i) * PAGE).filter(fits).findFirst(),
                free.highest(size, alignment, from, end),
                "seed " + seed);
        assertEquals(
                free.lowest(size, alignment, from, end).isPresent(),
                free.largest(alignment, from, end) >= size,
                "seed " + seed);
    }

    private static GuestRange range(RandomGenerator random) {
        return new GuestRange(random.nextInt(512) * PAGE, (1 + random.nextInt(64)) * PAGE);
    }
}
