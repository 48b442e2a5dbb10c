package org.kaval.devices.compression;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/// Decompressed bytes, written from front to back; what has been written is the window of formats
/// that copy from it. One thread.
public final class Output {
    private final ByteBuffer bytes;
    private int position;

    /// @param segment at most 2 GiB; never written beyond
    public Output(MemorySegment segment) {
        bytes = segment.asByteBuffer();
    }

    /// How many bytes have been written.
    public int position() {
        return position;
    }

    public int capacity() {
        return bytes.capacity();
    }

    /// The bytes from `from` to what has been written.
    public ByteBuffer since(int from) {
        return bytes.slice(from, position - from);
    }

    public void append(Input input, byte[] from, int offset, int length)
            throws CorruptDataException {
        require(input, length);
        bytes.put(position, from, offset, length);
        position += length;
    }

    /// Appends the next `length` bytes of `input`, which there are.
    public void appendFrom(Input input, int length) throws CorruptDataException {
        require(input, length);
        bytes.put(position, input.bytes(), input.position(), length);
        input.skip(length);
        position += length;
    }

    /// Appends `length` times the same byte.
    public void fill(Input input, byte value, int length) throws CorruptDataException {
        require(input, length);
        for (int end = position + length; position < end; position++) {
            bytes.put(position, value);
        }
    }

    /// Appends what lies `distance` bytes back, which may overlap what is appended.
    ///
    /// @param start before which the data must not reach
    public void appendMatch(Input input, int distance, int length, int start)
            throws CorruptDataException {
        if (distance <= 0 || distance > position - start) {
            throw input.error(
                    "a match %d bytes back, expected 1 to %d"
                            .formatted(Integer.toUnsignedLong(distance), position - start));
        }
        require(input, length);
        int source = position - distance;
        int end = position + length;
        while (position < end) {
            // what has been copied repeats what is before it, so that each round copies twice as
            // much
            int chunk = Math.min(position - source, end - position);
            bytes.put(position, bytes, source, chunk);
            position += chunk;
        }
    }

    private void require(Input input, int length) throws CorruptDataException {
        if (length > bytes.capacity() - position) {
            throw input.error("more than the expected %d bytes".formatted(bytes.capacity()));
        }
    }
}
