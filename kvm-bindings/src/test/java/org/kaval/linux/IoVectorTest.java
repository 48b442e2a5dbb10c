package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class IoVectorTest {
    @TempDir private Path directory = Path.of("");

    /// Bytes 0, 1, 2 and so on, 100 of them.
    private final MemorySegment memory = Arena.ofAuto().allocate(100, 16);

    private final IoVector vector = new IoVector(4);

    IoVectorTest() {
        for (int i = 0; i < 100; i++) {
            memory.set(JAVA_BYTE, i, (byte) i);
        }
    }

    @Test
    void rangesFollowEachOther() {
        vector.add(memory, 10, 3);
        vector.add(memory, 50, 0);
        vector.add(memory, 2, 2);

        assertEquals(2, vector.count());
        assertEquals(5, vector.byteSize());
        assertArrayEquals(new byte[] {10, 11, 12, 2, 3}, bytes(0, 5));
        assertArrayEquals(new byte[] {12, 2}, bytes(2, 2));
    }

    @Test
    void clearForgetsAll() {
        vector.add(memory, 10, 3);
        vector.clear();

        assertEquals(0, vector.count());
        assertEquals(0, vector.byteSize());
        assertThrows(IndexOutOfBoundsException.class, () -> bytes(0, 1));
    }

    @Test
    void partOfAnotherIsAppended() {
        var other = new IoVector(3);
        other.add(memory, 0, 4);
        other.add(memory, 20, 4);
        other.add(memory, 40, 4);
        vector.add(memory, 99, 1);
        vector.add(other, 4, 6);

        assertEquals(3, vector.count());
        assertArrayEquals(new byte[] {99, 20, 21, 22, 23, 40, 41}, bytes(0, 7));
    }

    @Test
    void rangeOutsideOfItsMemoryIsRefused() {
        assertThrows(IndexOutOfBoundsException.class, () -> vector.add(memory, 99, 2));
        assertThrows(IndexOutOfBoundsException.class, () -> vector.add(memory, -1, 2));
        assertThrows(IndexOutOfBoundsException.class, () -> vector.add(memory, 1, Long.MAX_VALUE));
        assertEquals(0, vector.count());
    }

    @Test
    void memoryOfTheHeapIsRefused() {
        MemorySegment heap = MemorySegment.ofArray(new byte[8]);
        assertThrows(IllegalArgumentException.class, () -> vector.add(heap, 0, 8));
    }

    @Test
    void fullVectorTakesNoMore() {
        IoVector one = IoVector.of(memory);
        var full = assertThrows(IllegalStateException.class, () -> one.add(memory, 0, 1));
        assertEquals("more than 1 ranges", full.getMessage());
        assertEquals(100, one.byteSize());
        assertThrows(IllegalArgumentException.class, () -> new IoVector(IoVector.MAX_COUNT + 1));
    }

    @Test
    void partOutsideOfTheVectorIsRefused() throws Exception {
        vector.add(memory, 0, 8);
        try (Fd fd = Fd.open(Path.of("/dev/zero"), Fd.Access.READ)) {
            assertThrows(IndexOutOfBoundsException.class, () -> fd.preadv(vector, 4, 5, 0));
            assertThrows(IndexOutOfBoundsException.class, () -> fd.preadv(vector, -1, 5, 0));
        }
        assertThrows(IndexOutOfBoundsException.class, () -> vector.fillWithZeroes(4, 5));
        assertThrows(IndexOutOfBoundsException.class, () -> vector.copyFrom(4, memory, 0, 5));
    }

    @Test
    void bytesAreCopiedInAndMadeZero() {
        vector.add(memory, 10, 3);
        vector.add(memory, 20, 3);
        vector.copyFrom(1, memory, 90, 4);
        assertArrayEquals(new byte[] {10, 90, 91, 92, 93, 22}, bytes(0, 6));

        vector.fillWithZeroes(2, 3);
        assertArrayEquals(new byte[] {10, 90, 0, 0, 0, 22}, bytes(0, 6));
        assertEquals(13, memory.get(JAVA_BYTE, 13));
        assertEquals(19, memory.get(JAVA_BYTE, 19));
    }

    @Test
    void moreZeroesThanOneChunk() {
        MemorySegment large = Arena.ofAuto().allocate(200_000).fill((byte) 7);
        IoVector.of(large).fillWithZeroes(1, 199_998);
        assertEquals(7, large.get(JAVA_BYTE, 0));
        assertEquals(-1, large.asSlice(1, 199_998).mismatch(Arena.ofAuto().allocate(199_998)));
        assertEquals(7, large.get(JAVA_BYTE, 199_999));
    }

    @Test
    void alignmentIsThatOfAllRanges() {
        vector.add(memory, 0, 16);
        assertTrue(vector.isAligned(16));
        vector.add(memory, 32, 8);
        assertFalse(vector.isAligned(16));
        assertTrue(vector.isAligned(8));
        vector.add(memory, 4, 8);
        assertFalse(vector.isAligned(8));
    }

    @Test
    void partIsWrittenAndReadInOneCall() throws Exception {
        Path file = directory.resolve("file");
        vector.add(memory, 0, 4);
        vector.add(memory, 20, 4);
        vector.add(memory, 40, 4);
        try (Fd fd = Fd.open(file, Fd.Access.READ_WRITE, Fd.Option.CREATE_NEW)) {
            assertEquals(6, fd.pwritev(vector, 3, 6, 2)); // all three, the ends in part
            assertEquals(2, fd.pwritev(vector, 5, 2, 0)); // inside one
            assertEquals(0, fd.pwritev(vector, 12, 0, 0));
            assertArrayEquals(new byte[] {21, 22, 3, 20, 21, 22, 23, 40}, Files.readAllBytes(file));

            assertEquals(8, fd.preadv(vector, 0, 8, 0));
            assertEquals(4, fd.preadv(vector, 8, 4, 1));
            assertEquals(1, fd.preadv(vector, 0, 12, 7));
            assertEquals(0, fd.preadv(vector, 0, 12, 8));
        }
        assertArrayEquals(new byte[] {40, 22, 3, 20, 21, 22, 23, 40, 22, 3, 20, 21}, bytes(0, 12));
    }

    @Test
    void moreThanTheKernelTakesAtOnceIsNeverAsked() throws Exception {
        var largest = new IoVector(IoVector.MAX_COUNT);
        for (int i = 0; i < IoVector.MAX_COUNT; i++) {
            largest.add(memory, i % 100, 1);
        }
        Path file = directory.resolve("file");
        try (Fd fd = Fd.open(file, Fd.Access.WRITE, Fd.Option.CREATE_NEW)) {
            assertEquals(1024, fd.pwritev(largest, 0, 1024, 0));
        }
        byte[] written = Files.readAllBytes(file);
        assertArrayEquals(new byte[] {98, 99, 0, 1}, Arrays.copyOfRange(written, 98, 102));
    }

    private byte[] bytes(int from, int length) {
        MemorySegment copy = Arena.ofAuto().allocate(length + 2);
        vector.copyTo(from, copy, 1, length);
        return copy.asSlice(1, length).toArray(JAVA_BYTE);
    }
}
