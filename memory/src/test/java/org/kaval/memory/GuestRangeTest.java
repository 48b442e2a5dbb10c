package org.kaval.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class GuestRangeTest {
    @ParameterizedTest
    @CsvSource({
        "-1, 1",
        "-9223372036854775808, 1",
        "0, 0",
        "0, -1",
        "0, -9223372036854775808",
        "1, 9223372036854775807",
        "9223372036854775807, 1",
        "9223372036854775807, 9223372036854775807",
        "9223372036854771712, 4096", // the end is 2⁶³, which no long is
    })
    void rangeThatIsNoneIsRefused(long base, long size) {
        var refusal =
                assertThrows(IllegalArgumentException.class, () -> new GuestRange(base, size));

        assertEquals("no range: 0x%x+0x%x".formatted(base, size), refusal.getMessage());
    }

    @Test
    void rangeMayEndAtTheLastLong() {
        var range = new GuestRange(Long.MAX_VALUE - 4096, 4096);

        assertEquals(Long.MAX_VALUE, range.end());
        assertTrue(range.holds(Long.MAX_VALUE - 1, 1));
        assertFalse(range.holds(Long.MAX_VALUE, 1));
        assertFalse(range.holds(Long.MAX_VALUE - 1, 2));
    }

    @Test
    void wholeRangeIsHeldAndOneByteMoreIsNot() {
        var range = new GuestRange(0x1000, 0x2000);

        assertTrue(range.holds(0x1000, 0x2000));
        assertFalse(range.holds(0xfff, 0x2000));
        assertFalse(range.holds(0xfff, 1));
        assertFalse(range.holds(0x1000, 0x2001));
        assertFalse(range.holds(0x1001, 0x2000));
        assertFalse(range.holds(0x3000, 1));
    }

    @Test
    void nothingIsHeldFromTheFirstByteToTheEnd() {
        var range = new GuestRange(0x1000, 0x2000);

        assertTrue(range.holds(0x1000, 0));
        assertTrue(range.holds(0x3000, 0));
        assertFalse(range.holds(0xfff, 0));
        assertFalse(range.holds(0x3001, 0));
    }

    @ParameterizedTest
    @MethodSource("seeds")
    void holdsWhatExactArithmeticSays(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        GuestRange range = anyRange(random);
        long address = nearAnEdgeOf(range, random);
        long length = anyLength(range, address, random);

        boolean holds = range.holds(address, length);

        assertEquals(
                holdsExactly(range, address, length),
                holds,
                () -> "seed %d: %s, 0x%x+0x%x".formatted(seed, range, address, length));
    }

    @ParameterizedTest
    @CsvSource({
        // base, size, whether it overlaps 0x2000-0x2fff
        "0x1000, 0x1000, false",
        "0x1000, 0x1001, true",
        "0x3000, 0x1000, false",
        "0x2fff, 0x1, true",
        "0x2800, 0x10, true",
        "0x0, 0x10000, true",
    })
    void overlapIsMutual(String base, String size, boolean overlaps) {
        var range = new GuestRange(0x2000, 0x1000);
        var other = new GuestRange(Long.decode(base), Long.decode(size));

        assertEquals(overlaps, range.overlaps(other));
        assertEquals(overlaps, other.overlaps(range));
    }

    @Test
    void rangeIsWrittenWithItsLastByte() {
        assertEquals("0xc0000000-0xffffffff", new GuestRange(0xc000_0000L, 1L << 30).toString());
    }

    private static LongStream seeds() {
        return LongStream.range(0, 500);
    }

    private static GuestRange anyRange(RandomGenerator random) {
        long base = random.nextLong() >>> (1 + random.nextInt(63));
        long largest = Long.MAX_VALUE - base;
        long size = random.nextBoolean() ? largest : random.nextLong() >>> (1 + random.nextInt(63));
        return new GuestRange(base, Math.clamp(size, 1, Math.max(1, largest)));
    }

    private static long nearAnEdgeOf(GuestRange range, RandomGenerator random) {
        long[] edges = {range.base(), range.end(), 0, Long.MAX_VALUE, Long.MIN_VALUE};
        return switch (random.nextInt(4)) {
            case 0 -> random.nextLong();
            case 1 -> random.nextLong(range.base(), range.end());
            default -> edges[random.nextInt(edges.length)] + random.nextLong(-2, 3);
        };
    }

    private static long anyLength(GuestRange range, long address, RandomGenerator random) {
        long[] edges = {0, range.size(), range.end() - address, Long.MAX_VALUE, Long.MIN_VALUE};
        return random.nextInt(4) == 0
                ? random.nextLong()
                : edges[random.nextInt(edges.length)] + random.nextLong(-2, 3);
    }

    private static boolean holdsExactly(GuestRange range, long address, long length) {
        BigInteger first = BigInteger.valueOf(address);
        BigInteger end = first.add(BigInteger.valueOf(length));
        BigInteger rangeEnd =
                BigInteger.valueOf(range.base()).add(BigInteger.valueOf(range.size()));
        return length >= 0
                && first.compareTo(BigInteger.valueOf(range.base())) >= 0
                && end.compareTo(rangeEnd) <= 0;
    }
}
