package org.kaval.memory;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Two regions with a hole between them: `0x0-0x7fff` and `0x10000-0x13fff`.
class GuestMemoryTest {
    private static final GuestRange LOW = new GuestRange(0, 0x8000);
    private static final GuestRange HIGH = new GuestRange(0x10000, 0x4000);

    private final GuestMemory memory;

    GuestMemoryTest() throws IOException {
        memory = GuestMemory.allocate(List.of(HIGH, LOW), new Backing.Anonymous(false));
    }

    @AfterEach
    void close() {
        memory.close();
    }

    @Test
    void rangesAscendAndSizesAddUp() {
        assertEquals(List.of(LOW, HIGH), memory.ranges());
        assertEquals(0xc000, memory.size());
    }

    @Test
    void newMemoryIsZero() {
        var bytes = new byte[0x8000];
        bytes[0] = 1;

        memory.read(0, bytes);

        assertArrayEquals(new byte[0x8000], bytes);
    }

    @ParameterizedTest
    @CsvSource({
        "0, 0x8000, true",
        "0, 0x8001, false",
        "0x7fff, 1, true",
        "0x7fff, 2, false",
        "0x8000, 1, false", // the hole
        "0x9000, 0x1000, false",
        "0xffff, 1, false",
        "0xffff, 2, false",
        "0x7000, 0xa000, false", // from one region to the other
        "0x10000, 0x4000, true",
        "0x13fff, 1, true",
        "0x14000, 1, false",
        "0, -1, false",
        "0x10000, -0x8000000000000000, false",
        "-1, 1, false",
        "-1, 2, false",
        "-0x8000000000000000, 1, false",
        "0, 0x7fffffffffffffff, false",
        "0x7fffffffffffffff, 1, false",
        "0x7fffffffffffffff, 0x7fffffffffffffff, false",
        "0x1000, 0, true",
        "0x9000, 0, false",
    })
    void rangeIsRamOrAFault(String address, String length, boolean ram) {
        long from = Long.decode(address);
        long count = Long.decode(length);

        assertEquals(ram, memory.holds(from, count));
        assertEquals(ram, succeeds(() -> memory.slice(from, count)));
        assertEquals(ram, succeeds(() -> memory.markDirty(from, count)));
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, 0x8000, 0xffff, 0x14000, Long.MAX_VALUE, Long.MIN_VALUE})
    void everyAccessOutsideRamIsAFault(long address) {
        assertThrows(GuestFault.class, () -> memory.readByte(address));
        assertThrows(GuestFault.class, () -> memory.readLe16(address));
        assertThrows(GuestFault.class, () -> memory.readLe32(address));
        assertThrows(GuestFault.class, () -> memory.readLe64(address));
        assertThrows(GuestFault.class, () -> memory.acquireLe16(address));
        assertThrows(GuestFault.class, () -> memory.read(address, new byte[1]));
        assertThrows(GuestFault.class, () -> memory.writeByte(address, 1));
        assertThrows(GuestFault.class, () -> memory.writeLe16(address, 1));
        assertThrows(GuestFault.class, () -> memory.writeLe32(address, 1));
        assertThrows(GuestFault.class, () -> memory.writeLe64(address, 1));
        assertThrows(GuestFault.class, () -> memory.releaseLe16(address, 1));
        assertThrows(GuestFault.class, () -> memory.write(address, new byte[1]));
    }

    @Test
    void accessAcrossTheEndIsAFaultAndWritesNothing() {
        assertThrows(GuestFault.class, () -> memory.writeLe16(0x7fff, -1));
        assertThrows(GuestFault.class, () -> memory.writeLe32(0x7ffd, -1));
        assertThrows(GuestFault.class, () -> memory.writeLe64(0x7ff9, -1));
        assertThrows(
                GuestFault.class,
                () -> memory.write(0x7ff8, new byte[] {1, 2, 3, 4, 5, 6, 7, 8, 9}));

        assertEquals(0, memory.readLe64(0x7ff8));
    }

    @Test
    void accessUpToTheEndWorks() {
        memory.writeLe64(0x7ff8, 0x0102030405060708L);
        memory.writeByte(0x13fff, 0xff);

        assertEquals(0x0102030405060708L, memory.readLe64(0x7ff8));
        assertEquals(0xff, memory.readByte(0x13fff));
    }

    @Test
    void faultNamesTheAccess() {
        var fault = assertThrows(GuestFault.class, () -> memory.readLe32(0x7ffe));

        assertEquals("no RAM at 0x7ffe+0x4", fault.getMessage());
    }

    @Test
    void everyWidthIsLittleEndian() {
        memory.writeByte(0x100, 0x1ff); // the ninth bit is dropped
        memory.writeLe16(0x101, 0xf2f3);
        memory.writeLe32(0x103, 0xf4f5f6f7);
        memory.writeLe64(0x107, 0xf8f9fafbfcfdfeffL);

        assertArrayEquals(
                new byte[] {
                    (byte) 0xff, //
                    (byte) 0xf3,
                    (byte) 0xf2, //
                    (byte) 0xf7,
                    (byte) 0xf6,
                    (byte) 0xf5,
                    (byte) 0xf4, //
                    (byte) 0xff,
                    (byte) 0xfe,
                    (byte) 0xfd,
                    (byte) 0xfc, //
                    (byte) 0xfb,
                    (byte) 0xfa,
                    (byte) 0xf9,
                    (byte) 0xf8,
                },
                bytes(0x100, 15));
    }

    @Test
    void narrowReadsAreUnsigned() {
        memory.writeLe64(0x200, 0x8182838485868788L);

        assertEquals(0x88, memory.readByte(0x200));
        assertEquals(0x8788, memory.readLe16(0x200));
        assertEquals(0x85868788, memory.readLe32(0x200));
        assertEquals(0x8182838485868788L, memory.readLe64(0x200));
        assertEquals(0x8586, memory.acquireLe16(0x202));
    }

    @ParameterizedTest
    @ValueSource(longs = {0x0ff9, 0x0ffa, 0x0ffb, 0x0ffc, 0x0ffd, 0x0ffe, 0x0fff})
    void accessMayStraddlePages(long address) {
        memory.writeLe64(address, 0x1122334455667788L);

        assertEquals(0x1122334455667788L, memory.readLe64(address));
        assertEquals(0x55667788, memory.readLe32(address));
        assertEquals(0x5566, memory.readLe16(address + 2));
        assertEquals(0x11, memory.readByte(address + 7));
    }

    @Test
    void regionsAreDistinctMemory() {
        memory.writeByte(0, 1);
        memory.writeByte(0x10000, 2);

        assertEquals(1, memory.readByte(0));
        assertEquals(2, memory.readByte(0x10000));
    }

    @Test
    void arraysAreWrittenAndReadWhole() {
        byte[] written = {1, -2, 3, -4, 5};

        memory.write(0x11ffe, written);

        assertArrayEquals(written, bytes(0x11ffe, 5));
        assertEquals(0, memory.readByte(0x11ffd));
        assertEquals(0, memory.readByte(0x12003));
    }

    @Test
    void emptyArrayIsWrittenAnywhereInRam() {
        memory.write(0x1000, new byte[0]);
        memory.read(0x8000, new byte[0]); // just behind the last byte

        assertThrows(GuestFault.class, () -> memory.write(0x9000, new byte[0]));
    }

    @Test
    void slicesAreTheMemoryItself() {
        MemorySegment slice = memory.slice(0x3000, 16);
        MemorySegment overlapping = memory.slice(0x3008, 16);

        slice.set(JAVA_BYTE, 8, (byte) 42);
        memory.writeByte(0x3009, 43);

        assertEquals(42, overlapping.get(JAVA_BYTE, 0));
        assertEquals(43, slice.get(JAVA_BYTE, 9));
        assertEquals(42, memory.readByte(0x3008));
        assertEquals(16, slice.byteSize());
    }

    @Test
    void sliceReachesNoFurtherThanWasAsked() {
        MemorySegment slice = memory.slice(0x3000, 16);

        assertThrows(IndexOutOfBoundsException.class, () -> slice.get(JAVA_BYTE, 16));
        assertThrows(IndexOutOfBoundsException.class, () -> slice.get(JAVA_BYTE, -1));
    }

    @Test
    void releasedIndexIsAcquired() {
        memory.releaseLe16(0x4002, 0xfffe);

        assertEquals(0xfffe, memory.acquireLe16(0x4002));
        assertEquals(0xfffe0000, memory.readLe32(0x4000));
    }

    @Test
    @Timeout(60)
    void whatIsWrittenBeforeAReleaseIsSeenAfterTheAcquire() throws Exception {
        int rounds = 60_000; // below 2¹⁶, so that the index does not wrap
        CompletableFuture<Void> producer =
                CompletableFuture.runAsync(() -> {
                    for (int i = 1; i <= rounds; i++) {
                        memory.writeLe32(0x5000, i);
                        memory.releaseLe16(0x6000, i);
                    }
                });

        int overtaken = countOvertakenReads(rounds);

        producer.get();
        assertEquals(0, overtaken);
    }

    @Test
    void indexAtAnOddAddressIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> memory.acquireLe16(0x4001));
        assertThrows(IllegalArgumentException.class, () -> memory.releaseLe16(0x4001, 1));
    }

    @Test
    void overlappingRangesAreRefused() {
        var ranges = List.of(new GuestRange(0x1000, 0x2000), new GuestRange(0, 0x2000));

        var refusal = assertThrows(IllegalArgumentException.class, () -> allocate(ranges));

        assertEquals("0x0-0x1fff overlaps 0x1000-0x2fff", refusal.getMessage());
    }

    @Test
    void sameRangeTwiceIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> allocate(List.of(LOW, LOW)));
    }

    @Test
    void rangesMayTouch() throws IOException {
        var ranges = List.of(new GuestRange(0, 0x1000), new GuestRange(0x1000, 0x1000));

        try (GuestMemory touching = allocate(ranges)) {
            assertEquals(0x2000, touching.size());
            assertFalse(touching.holds(0xfff, 2)); // no access spans regions
        }
    }

    @ParameterizedTest
    @CsvSource({"0, 1", "0, 4095", "1, 4096", "2048, 4096", "4096, 6000"})
    void rangesOfPartsOfPagesAreRefused(long base, long size) {
        var ranges = List.of(new GuestRange(base, size));

        var refusal = assertThrows(IllegalArgumentException.class, () -> allocate(ranges));

        assertEquals("not whole pages: " + ranges.getFirst(), refusal.getMessage());
    }

    @Test
    void memoryMayBeClosedTwice() {
        memory.close();
        memory.close();

        assertThrows(IllegalStateException.class, () -> memory.readByte(0));
    }

    @Test
    void closedMemoryIsNotAccessed() {
        MemorySegment slice = memory.slice(0, 16);

        memory.close();

        assertThrows(IllegalStateException.class, () -> memory.readLe64(0));
        assertThrows(IllegalStateException.class, () -> memory.writeLe16(0x10000, 1));
        assertThrows(IllegalStateException.class, () -> memory.acquireLe16(0));
        assertThrows(IllegalStateException.class, () -> memory.read(0, new byte[4]));
        assertThrows(IllegalStateException.class, () -> slice.get(JAVA_BYTE, 0));
    }

    @Test
    void trackingNeedsAMachine() {
        assertThrows(IllegalStateException.class, memory::startDirtyTracking);
        assertThrows(IllegalStateException.class, memory::drainDirtyPages);
        assertThrows(IllegalStateException.class, memory::stopDirtyTracking);
    }

    @Test
    void markingCostsNothingWhileNobodyTracks() {
        memory.markDirty(0x1000, 0x1000);

        assertTrue(memory.holds(0x1000, 0x1000));
    }

    private static GuestMemory allocate(List<GuestRange> ranges) throws IOException {
        return GuestMemory.allocate(ranges, Backing.anonymous());
    }

    private byte[] bytes(long address, int length) {
        var bytes = new byte[length];
        memory.read(address, bytes);
        return bytes;
    }

    private int countOvertakenReads(int rounds) {
        int overtaken = 0;
        int index = 0;
        while (index < rounds) {
            index = memory.acquireLe16(0x6000);
            overtaken += memory.readLe32(0x5000) < index ? 1 : 0;
        }
        return overtaken;
    }

    private static boolean succeeds(Runnable access) {
        try {
            access.run();
            return true;
        } catch (GuestFault e) {
            return false;
        }
    }
}
