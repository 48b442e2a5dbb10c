package org.kaval.vcpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.kaval.vcpu.ExitStatistics.Access;

class AccessCountsTest {
    private static final int PLACES = AccessCounts.WAYS * AccessCounts.SETS;

    private final AccessCounts counts = new AccessCounts();

    private void read(long port, int times) {
        IntStream.range(0, times).forEach(_ -> counts.count(false, false, port));
    }

    @Test
    void nothingHasHappenedAtFirst() {
        assertEquals(List.of(), counts.list());
    }

    @Test
    void mostFrequentIsFirst() {
        read(0x60, 1);
        read(0x64, 3);
        read(0x3fd, 2);

        assertEquals(
                List.of(
                        new Access(false, false, 0x64, 3),
                        new Access(false, false, 0x3fd, 2),
                        new Access(false, false, 0x60, 1)),
                counts.list());
    }

    @Test
    void whatIsAccessedAndHowIsToldApart() {
        counts.count(false, false, 0);
        counts.count(false, true, 0);
        counts.count(true, false, 0);
        counts.count(true, true, 0);

        assertEquals(4, counts.list().size());
        assertEquals(List.of(1L), counts.list().stream().map(Access::count).distinct().toList());
    }

    @Test
    void addressesHave52Bits() {
        long highest = (1L << 52) - 1;

        counts.count(true, true, highest);

        assertEquals(List.of(new Access(true, true, highest, 1)), counts.list());
    }

    @Test
    void oneThatComesAgainAndAgainStaysAmongManyThatComeOnce() {
        read(0x3fd, 1_000);

        LongStream.range(0, 100L * PLACES)
                .forEach(i -> counts.count(true, false, 0xe000_0000L + 4 * i));

        assertEquals(new Access(false, false, 0x3fd, 1_000), counts.list().getFirst());
    }

    @Test
    void oneThatComesLateIsSeen() {
        LongStream.range(0, 100L * PLACES)
                .forEach(i -> counts.count(true, false, 0xe000_0000L + 4 * i));

        read(0x3fd, 10_000);

        Access first = counts.list().getFirst();
        assertEquals(0x3fd, first.address());
        // it has taken the place of one that was there once or twice
        assertTrue(first.count() > 9_900 && first.count() <= 10_000, first.toString());
    }

    @Test
    void tableDoesNotGrow() {
        LongStream.range(0, 10L * PLACES).forEach(i -> counts.count(false, false, i));

        assertTrue(counts.list().size() <= PLACES);
    }
}
