package org.kaval.memory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.BitSet;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class DirtyBitmapTest {
    private static final int PAGE = 4096;

    @ParameterizedTest
    @CsvSource({
        // pages, words
        "1, 1",
        "63, 1",
        "64, 1",
        "65, 2",
        "128, 2",
        "129, 3",
        "268435456, 4194304",
    })
    void bitmapHasOneBitPerPageInWholeWords(long pages, int words) {
        assertEquals(words, DirtyBitmap.words(pages * PAGE));
    }

    @ParameterizedTest
    @CsvSource({
        // offset, length, the word that comes of it
        "0, 1, 0x1",
        "4095, 1, 0x1",
        "4096, 1, 0x2",
        "4095, 2, 0x3",
        "0, 4096, 0x1",
        "0, 4097, 0x3",
        "1, 4096, 0x3",
        "8191, 4098, 0xe",
        "258048, 4096, 0x8000000000000000",
    })
    void accessAcrossPagesMarksEachOfThem(long offset, long length, String word) {
        var bitmap = new DirtyBitmap(64 * PAGE);

        bitmap.mark(offset, length);

        assertArrayEquals(
                new long[] {Long.parseUnsignedLong(word.substring(2), 16)}, drain(bitmap, 1));
    }

    @Test
    void wholeRegionIsMarkedAtOnce() {
        var bitmap = new DirtyBitmap(70 * PAGE);

        bitmap.mark(0, 70 * PAGE);

        assertArrayEquals(new long[] {-1, 0x3f}, drain(bitmap, 2));
    }

    @Test
    void drainClears() {
        var bitmap = new DirtyBitmap(64 * PAGE);
        bitmap.mark(0, 1);
        drain(bitmap, 1);

        bitmap.mark(PAGE, 1);

        assertArrayEquals(new long[] {0b10}, drain(bitmap, 1));
        assertArrayEquals(new long[] {0}, drain(bitmap, 1));
    }

    @Test
    void drainAddsToWhatIsThere() {
        var bitmap = new DirtyBitmap(128 * PAGE);
        bitmap.mark(0, 1);
        long[] words = {0b100, 0b1000};

        bitmap.drainInto(words);

        assertArrayEquals(new long[] {0b101, 0b1000}, words);
    }

    @ParameterizedTest
    @MethodSource("seeds")
    void exactlyTheTouchedPagesAreMarked(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        int pages = random.nextInt(1, 300);
        var bitmap = new DirtyBitmap((long) pages * PAGE);
        var expected = new BitSet();

        IntStream.range(0, random.nextInt(1, 10))
                .forEach(_ -> markSomewhere(bitmap, expected, pages, random));

        assertEquals(
                expected,
                BitSet.valueOf(drain(bitmap, DirtyBitmap.words((long) pages * PAGE))),
                () -> "seed " + seed);
    }

    @Test
    @Timeout(60)
    void concurrentMarksAreNotLostToEachOtherOrToADrain() throws Exception {
        int threads = 4;
        int pages = 1 << 16; // each word is marked by all threads
        var bitmap = new DirtyBitmap((long) pages * PAGE);
        long[] drained = new long[DirtyBitmap.words((long) pages * PAGE)];

        try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
            List<? extends Future<?>> markers =
                    IntStream.range(0, threads)
                            .mapToObj(t ->
                                    executor.submit(() -> markEvery(bitmap, t, threads, pages)))
                            .toList();
            while (!markers.stream().allMatch(Future::isDone)) {
                bitmap.drainInto(drained);
            }
            bitmap.drainInto(drained);
        }

        assertEquals(pages, BitSet.valueOf(drained).cardinality());
    }

    private static LongStream seeds() {
        return LongStream.range(0, 300);
    }

    private static long[] drain(DirtyBitmap bitmap, int count) {
        long[] words = new long[count];
        bitmap.drainInto(words);
        return words;
    }

    private static void markSomewhere(
            DirtyBitmap bitmap, BitSet expected, int pages, RandomGenerator random) {
        long offset = random.nextLong((long) pages * PAGE);
        long rest = (long) pages * PAGE - offset;
        long length = 1 + random.nextLong(Math.min(rest, 1 + random.nextLong(20L * PAGE)));
        bitmap.mark(offset, length);
        LongStream.range(offset, offset + length)
                .forEach(address -> expected.set((int) (address / PAGE)));
    }

    private static void markEvery(DirtyBitmap bitmap, int first, int step, int pages) {
        for (int page = first; page < pages; page += step) {
            bitmap.mark((long) page * PAGE, 1);
        }
    }
}
