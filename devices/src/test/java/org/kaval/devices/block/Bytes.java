package org.kaval.devices.block;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.random.RandomGenerator;
import org.kaval.linux.IoVector;

/// Moves arrays to and from images.
final class Bytes {
    private Bytes() {}

    static byte[] read(BlockImage image, long offset, int length) throws IOException {
        MemorySegment memory = Arena.ofAuto().allocate(Math.max(length, 1));
        memory.fill((byte) 0xee); // what must not stay
        image.read(offset, IoVector.of(memory), 0, length);
        return memory.asSlice(0, length).toArray(JAVA_BYTE);
    }

    static void write(BlockImage image, long offset, byte... bytes) throws IOException {
        image.write(offset, vector(bytes));
    }

    static IoVector vector(byte... bytes) {
        return IoVector.of(segment(bytes));
    }

    static MemorySegment segment(byte... bytes) {
        return Arena.ofAuto().allocateFrom(JAVA_BYTE, bytes);
    }

    static byte[] of(IoVector vector, long from, int length) {
        MemorySegment copy = Arena.ofAuto().allocate(length);
        vector.copyTo(from, copy, 0, length);
        return copy.toArray(JAVA_BYTE);
    }

    /// Many equal bytes.
    static byte[] of(int value, int count) {
        var bytes = new byte[count];
        Arrays.fill(bytes, (byte) value);
        return bytes;
    }

    /// Bytes without a pattern, none of them zero.
    static byte[] random(RandomGenerator random, int count) {
        var bytes = new byte[count];
        for (int i = 0; i < count; i++) {
            bytes[i] = (byte) (1 + random.nextInt(255));
        }
        return bytes;
    }
}
