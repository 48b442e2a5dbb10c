package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestRange;

class BusTest {
    private final Bus bus = new Bus("test");

    /// Reads as its number in the upper bytes and the offset in the lowest two.
    private record Numbered(int number) implements Device {
        @Override
        public long read(long offset, int size) {
            return (long) number << 16 | offset;
        }

        @Override
        public void write(long offset, int size, long value) {}
    }

    /// Keeps the last write.
    private static final class Recorder implements Device {
        private String last = "nothing";

        @Override
        public long read(long offset, int size) {
            return 0;
        }

        @Override
        public void write(long offset, int size, long value) {
            last = "%d+%d=0x%x".formatted(offset, size, value);
        }
    }

    /// Does what a test says.
    private record Failing(RuntimeException failure) implements Device {
        @Override
        public long read(long offset, int size) {
            throw failure;
        }

        @Override
        public void write(long offset, int size, long value) {
            throw failure;
        }

        @Override
        public String toString() {
            return "failing device";
        }
    }

    @ParameterizedTest
    @CsvSource({"0x0f, 2", "0x10, 1", "0x10, 16", "0x14, 4", "0x1f, 1", "0x1f, 9", "0x00, 0x100"})
    void rangeThatOverlapsAnotherIsRefused(long base, long size) {
        bus.add(new GuestRange(0x10, 16), new Numbered(1));
        var range = new GuestRange(base, size);
        var device = new Numbered(2);

        var refused = assertThrows(IllegalArgumentException.class, () -> bus.add(range, device));

        assertEquals(
                "test %s: Numbered[number=1] has 0x10-0x1f".formatted(range), refused.getMessage());
    }

    @ParameterizedTest
    @CsvSource({"0x0f, 1", "0x00, 16", "0x20, 1", "0x20, 0x7fffffffffffffdf"})
    void rangeThatOnlyTouchesAnotherIsTaken(long base, long size) {
        bus.add(new GuestRange(0x10, 16), new Numbered(1));

        assertDoesNotThrow(() -> bus.add(new GuestRange(base, size), new Numbered(2)));

        assertEquals(2L << 16, bus.read(base, 1));
    }

    @Test
    void refusedDeviceLeavesTheBusAsItWas() {
        bus.add(new GuestRange(0x10, 16), new Numbered(1));
        assertThrows(
                IllegalArgumentException.class,
                () -> bus.add(new GuestRange(0x1f, 2), new Numbered(2)));

        assertEquals(Bus.NOBODY, bus.read(0x20, 1));
        assertEquals(1L << 16 | 0xf, bus.read(0x1f, 1));
    }

    @Test
    void deviceIsOfferedARangeThatIsFree() {
        assertTrue(bus.offer(new GuestRange(0x10, 16), new Numbered(1)));

        assertEquals(1L << 16, bus.read(0x10, 1));
    }

    @Test
    void deviceIsNotTakenWhereAnotherHasPart() {
        bus.add(new GuestRange(0x10, 16), new Numbered(1));

        assertFalse(bus.offer(new GuestRange(0x1f, 2), new Numbered(2)));

        assertEquals(1L << 16 | 0xf, bus.read(0x1f, 1));
        assertEquals(Bus.NOBODY, bus.read(0x20, 1));
    }

    @Test
    void removedDeviceAnswersNoMoreAndLeavesItsRange() {
        bus.add(new GuestRange(0x10, 16), new Numbered(1));
        bus.add(new GuestRange(0x20, 16), new Numbered(2));

        bus.remove(new GuestRange(0x10, 16));

        assertEquals(Bus.NOBODY, bus.read(0x10, 1));
        assertEquals(2L << 16, bus.read(0x20, 1));
        assertTrue(bus.offer(new GuestRange(0x8, 24), new Numbered(3)));
    }

    @Test
    void onlyAWholeRangeIsRemoved() {
        bus.add(new GuestRange(0x10, 16), new Numbered(1));

        assertThrows(IllegalArgumentException.class, () -> bus.remove(new GuestRange(0x10, 8)));

        assertEquals(1L << 16, bus.read(0x10, 1));
    }

    @ParameterizedTest
    @CsvSource({
        "0x10, 1, 0x0", // first byte
        "0x10, 8, 0x0",
        "0x17, 1, 0x7", // last byte
        "0x16, 2, 0x6",
        "0x14, 4, 0x4",
        "0x13, 4, 0x3", // not aligned
    })
    void accessInsideReachesTheDeviceAtItsOffset(long address, int size, long offset) {
        bus.add(new GuestRange(0x10, 8), new Numbered(1));

        assertEquals(1L << 16 | offset, bus.read(address, size));
        assertEquals(0, bus.unclaimedAccesses());
    }

    @ParameterizedTest
    @CsvSource({
        "0x0f, 1", // just before
        "0x0f, 2", // across the start
        "0x18, 1", // just behind
        "0x17, 2", // across the end
        "0x14, 8",
        "0x00, 8",
        "0x7fffffffffffffff, 8",
        "-1, 1", // unsigned: the highest address
        "-8, 8",
        "-0x8000000000000000, 4",
    })
    void accessNotWhollyInsideReadsAsOnesAndIsCounted(long address, int size) {
        var recorder = new Recorder();
        bus.add(new GuestRange(0x10, 8), recorder);

        assertEquals(Bus.NOBODY, bus.read(address, size));
        bus.write(address, size, 0);

        assertEquals("nothing", recorder.last);
        assertEquals(2, bus.unclaimedAccesses());
    }

    @Test
    void accessAcrossTwoNeighboursReachesNeither() {
        bus.add(new GuestRange(0x10, 8), new Numbered(1));
        bus.add(new GuestRange(0x18, 8), new Numbered(2));

        assertEquals(Bus.NOBODY, bus.read(0x16, 4));
        assertEquals(1, bus.unclaimedAccesses());
    }

    @Test
    void emptyBusReadsAsOnes() {
        assertEquals(-1, bus.read(0, 8));
    }

    @Test
    void writeCarriesOffsetSizeAndValue() {
        var recorder = new Recorder();
        bus.add(new GuestRange(0xfed0_0000L, 0x1000), recorder);

        bus.write(0xfed0_0ff8L, 8, 0x8000_0000_0000_0001L);

        assertEquals("4088+8=0x8000000000000001", recorder.last);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void findsWhatANaiveSearchFinds(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        var ranges = new ArrayList<GuestRange>();
        addRandomRanges(random, ranges, 200);

        assertEquals(
                List.of(),
                differences(random, ranges, 50_000),
                () -> "seed " + seed + ", " + ranges);
    }

    private void addRandomRanges(RandomGenerator random, List<GuestRange> ranges, int tries) {
        for (int i = 0; i < tries; i++) {
            var range = new GuestRange(random.nextLong(0x1000), random.nextLong(1, 40));
            boolean free = ranges.stream().noneMatch(range::overlaps);
            if (free) {
                bus.add(range, new Numbered(ranges.size()));
                ranges.add(range);
            } else {
                assertThrows(
                        IllegalArgumentException.class, () -> bus.add(range, new Numbered(-2)));
            }
        }
    }

    private List<String> differences(RandomGenerator random, List<GuestRange> ranges, int tries) {
        var differences = new ArrayList<String>();
        for (int i = 0; i < tries; i++) {
            long address = random.nextLong(-16, 0x1040);
            int size = 1 << random.nextInt(4);
            long expected = naiveRead(ranges, address, size);
            long found = bus.read(address, size);
            if (found != expected) {
                differences.add(
                        "0x%x+%d: 0x%x, not 0x%x".formatted(address, size, found, expected));
            }
        }
        return differences;
    }

    private static long naiveRead(List<GuestRange> ranges, long address, int size) {
        for (int number = 0; number < ranges.size(); number++) {
            GuestRange range = ranges.get(number);
            if (range.holds(address, size)) {
                return (long) number << 16 | (address - range.base());
            }
        }
        return Bus.NOBODY;
    }

    @Test
    void guestFaultIsAnsweredWithOnesAndCounted() {
        try (var log = new CapturedLog(Bus.class)) {
            bus.add(new GuestRange(0, 8), new Failing(new GuestFault("no such queue")));

            assertEquals(Bus.NOBODY, bus.read(0, 4));
            bus.write(4, 4, 1);

            assertEquals(2, bus.guestFaults());
            assertEquals(0, bus.unclaimedAccesses());
            assertEquals("test bus, failing device: no such queue", log.lines().getFirst());
        }
    }

    @Test
    void guestCannotFillTheLog() {
        try (var log = new CapturedLog(Bus.class)) {
            bus.add(new GuestRange(0, 8), new Failing(new GuestFault("again")));

            writeOften(10_000);

            assertEquals(10_000, bus.guestFaults());
            assertTrue(log.lines().size() <= 16, () -> log.lines().size() + " lines");
        }
    }

    private void writeOften(int times) {
        for (int i = 0; i < times; i++) {
            bus.write(0, 1, 0);
        }
    }

    @Test
    void bugOfADevicePassesThrough() {
        var bug = new IllegalStateException("a bug");
        bus.add(new GuestRange(0, 8), new Failing(bug));

        assertSame(bug, assertThrows(IllegalStateException.class, () -> bus.read(0, 1)));
        assertSame(bug, assertThrows(IllegalStateException.class, () -> bus.write(0, 1, 0)));
        assertEquals(0, bus.guestFaults());
    }

    @Test
    void lookupsAllocateNothing() {
        addRandomRanges(
                RandomGeneratorFactory.of("L64X128MixRandom").create(1), new ArrayList<>(), 100);
        bus.add(new GuestRange(0x2000, 8), new Numbered(1000));

        long bytes =
                Host.allocatedBytes(() -> {
                    bus.read(0x2000, 4);
                    bus.write(0x2004, 4, 1);
                    bus.read(0x3000, 4);
                    bus.write(0x3000, 4, 1);
                });

        assertEquals(0, bytes);
    }

    @Test
    void lookupsGoOnWhileDevicesAreAdded() throws Exception {
        bus.add(new GuestRange(0x100_0000, 1), new Numbered(1));
        Thread adding =
                Thread.ofPlatform()
                        .start(() -> {
                            for (int i = 0; i < 500; i++) {
                                bus.add(new GuestRange(i * 8L, 8), new Numbered(2));
                            }
                        });

        long misses = missesUntilEnded(adding);

        assertEquals(0, misses);
        assertEquals(2L << 16 | 7, bus.read(499 * 8 + 7, 1));
    }

    private long missesUntilEnded(Thread thread) {
        long misses = 0;
        do {
            misses += bus.read(0x100_0000, 1) == 1L << 16 ? 0 : 1;
        } while (thread.isAlive());
        return misses;
    }

    @Test
    void deviceAtAnAddressIsNamed() {
        var device = new Numbered(1);
        bus.add(new GuestRange(0x3f8, 8), device);

        assertEquals(Optional.empty(), bus.deviceAt(0x3f7));
        assertEquals(Optional.of(device), bus.deviceAt(0x3f8));
        assertEquals(Optional.of(device), bus.deviceAt(0x3ff));
        assertEquals(Optional.empty(), bus.deviceAt(0x400));
    }
}
