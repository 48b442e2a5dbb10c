package org.kaval.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CopyTest {
    private static final long PAGE = 4096;
    private static final long MIB = 1 << 20;

    /// Two regions, of which the second begins at an odd place in a file.
    private static final List<GuestRange> RANGES =
            List.of(new GuestRange(0, 13 * MIB), new GuestRange(64 * MIB, 7 * MIB));

    @TempDir private static Path directory;

    enum Kind {
        ANONYMOUS,
        HUGE,
        SHARED,
        FILE,
        LAYERS
    }

    private static GuestMemory allocate(Kind kind) throws IOException {
        return GuestMemory.allocate(
                RANGES,
                switch (kind) {
                    case ANONYMOUS -> new Backing.Anonymous(false);
                    case HUGE -> new Backing.Anonymous(true);
                    case SHARED -> new Backing.Memfd();
                    case FILE -> bottom();
                    case LAYERS -> layers();
                });
    }

    private static Backing.PrivateFile bottom() throws IOException {
        Path file = directory.resolve("bottom");
        byte[] content = new byte[(int) (21 * MIB)];
        for (int i = 0; i < content.length; i += 3 * (int) PAGE) {
            content[i] = 1;
        }
        Files.write(file, content);
        return new Backing.PrivateFile(file, 3 * PAGE);
    }

    private static Backing.LayeredFile layers() throws IOException {
        Path file = directory.resolve("layer");
        byte[] content = new byte[(int) (20 * MIB)];
        for (int i = 0; i < content.length; i += (int) PAGE) {
            content[i] = 2;
        }
        Files.write(file, content);
        var bottom = new Backing.PrivateFile(bottom().file(), 0);
        return new Backing.LayeredFile(
                bottom,
                List.of(
                        new Backing.Layer(
                                file,
                                List.of(
                                        new Backing.Run(PAGE, PAGE), // read
                                        new Backing.Run(2 * MIB, 3 * MIB), // mapped
                                        new Backing.Run(14 * MIB, 2 * MIB)))));
    }

    private static long[] pages() {
        return RANGES.stream()
                .flatMapToLong(range ->
                        LongStream.iterate(range.base(), at -> at < range.end(), at -> at + PAGE))
                .toArray();
    }

    /// The first word of each page.
    private static long[] words(GuestMemory memory) {
        return LongStream.of(pages()).map(memory::readLe64).toArray();
    }

    private static void assertSame(long[] expected, GuestMemory memory, String what) {
        long[] there = words(memory);
        for (int i = 0; i < expected.length; i++) {
            assertEquals(expected[i], there[i], what + ", page " + i);
        }
    }

    /// Writes to some pages, and takes down what they hold.
    private static void scribble(
            GuestMemory memory, long[] words, RandomGenerator random, int count) {
        long[] pages = pages();
        for (int i = 0; i < count; i++) {
            int page = random.nextInt(pages.length);
            words[page] = random.nextLong(3) == 0 ? 0 : random.nextLong();
            memory.writeLe64(pages[page], words[page]);
        }
    }

    /// Memories that are copied from each other, in any order, and written meanwhile, each a little
    /// or a lot, have each what was written to it.
    @ParameterizedTest
    @EnumSource(Kind.class)
    void whatIsWrittenToOneIsNotInTheOthers(Kind kind) throws IOException {
        for (long seed = 0; seed < 2; seed++) {
            RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
            var memories = new ArrayList<GuestMemory>();
            var words = new ArrayList<long[]>();
            try {
                memories.add(allocate(kind));
                words.add(words(memories.getFirst()));
                for (int step = 0; step < 12; step++) {
                    int from = random.nextInt(memories.size());
                    int count = random.nextBoolean() ? 20 : 9000;
                    scribble(memories.get(from), words.get(from), random, count);
                    memories.add(memories.get(from).copy());
                    words.add(words.get(from).clone());
                    int to = random.nextInt(memories.size());
                    scribble(memories.get(to), words.get(to), random, 20);
                }
                memories.removeFirst().close(); // the copies do not need it
                words.removeFirst();
                for (int i = 0; i < memories.size(); i++) {
                    String what = "%s, seed %d, memory %d".formatted(kind, seed, i);
                    assertSame(words.get(i), memories.get(i), what);
                }
            } finally {
                memories.forEach(GuestMemory::close);
            }
        }
    }

    /// A segment of the original shows what is written to it, whatever became of it.
    @ParameterizedTest
    @EnumSource(Kind.class)
    void segmentsStayWhatTheyAre(Kind kind) throws IOException {
        try (GuestMemory memory = allocate(kind)) {
            var segment = memory.slice(MIB, 2 * PAGE);
            memory.writeLe64(MIB, 5);
            try (GuestMemory copy = memory.copy()) {
                memory.writeLe64(MIB, 6);

                assertEquals(6, segment.get(GuestMemory.LE64, 0));
                assertEquals(5, copy.readLe64(MIB));
            }
        }
    }

    /// What is discarded in one is there in the other, and copied as it shows afterwards.
    @ParameterizedTest
    @EnumSource(Kind.class)
    void discardedPagesAreNotTheOthers(Kind kind) throws IOException {
        try (GuestMemory memory = allocate(kind)) {
            memory.writeLe64(MIB, 5);
            try (GuestMemory copy = memory.copy()) {
                copy.writeLe64(MIB + PAGE, 7);
                memory.discard(MIB, 4 * PAGE);
                assertEquals(5, copy.readLe64(MIB));
                assertEquals(7, copy.readLe64(MIB + PAGE));
                try (GuestMemory second = memory.copy()) {
                    copy.discard(MIB, 4 * PAGE);

                    assertSame(words(memory), second, "the second copy");
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"ANONYMOUS", "HUGE", "SHARED"})
    void discardedPagesAreWhatTheyWereAtTheCopy(Kind kind) throws IOException {
        try (GuestMemory memory = allocate(kind)) {
            memory.writeLe64(MIB, 5);
            try (GuestMemory copy = memory.copy()) {
                memory.writeLe64(MIB, 6);
                memory.discard(MIB, PAGE);

                assertEquals(5, memory.readLe64(MIB));
                assertEquals(5, copy.readLe64(MIB));
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void pagesThatAreNotUsedAreZeroes(Kind kind) throws IOException {
        try (GuestMemory memory = allocate(kind)) {
            memory.writeLe64(5 * MIB, 1);
            memory.writeLe64(70 * MIB, 1);
            try (GuestMemory copy = memory.copy()) {
                copy.writeLe64(6 * MIB, 1);
                assertUsedIsAll(copy);
            }
            assertUsedIsAll(memory);
        }
    }

    private static void assertUsedIsAll(GuestMemory memory) throws IOException {
        var used = new BitSet();
        for (GuestRange range : memory.used()) {
            assertTrue(memory.holds(range.base(), range.size()));
            used.set((int) (range.base() / PAGE), (int) (range.end() / PAGE));
        }
        for (long page : pages()) {
            assertTrue(
                    memory.readLe64(page) == 0 || used.get((int) (page / PAGE)),
                    "0x%x".formatted(page));
        }
    }

    @Test
    void untouchedMemoryIsNotUsed() throws IOException {
        for (Backing backing : List.of(new Backing.Anonymous(false), new Backing.Memfd())) {
            try (GuestMemory memory = GuestMemory.allocate(RANGES, backing)) {
                assertEquals(List.of(), memory.used());
                memory.writeLe64(5 * MIB, 1);
                assertEquals(List.of(new GuestRange(5 * MIB, PAGE)), memory.used());
            }
        }
    }
}
