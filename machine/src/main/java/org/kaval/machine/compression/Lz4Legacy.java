package org.kaval.machine.compression;

import org.kaval.devices.compression.CorruptDataException;
import org.kaval.devices.compression.Input;
import org.kaval.devices.compression.Output;

/// LZ4 in its legacy frame, as the kernel's build makes it with `lz4 -l` (LZ4 Frame Format, "Legacy
/// frame"; LZ4 Block Format): a magic number, then blocks of up to 8 MiB, each with its compressed
/// size before it.
final class Lz4Legacy {
    static final int MAGIC = 0x184c_2102;

    private static final int MAX_BLOCK = 8 << 20;
    private static final int MIN_MATCH = 4;

    /// A length of as much goes on in the next byte.
    private static final int LONG_LENGTH = 15;

    private final Input input;
    private final Output output;

    private Lz4Legacy(Input input, Output output) {
        this.input = input;
        this.output = output;
    }

    static void decompress(Input input, Output output) throws CorruptDataException {
        new Lz4Legacy(input, output).frame();
    }

    private void frame() throws CorruptDataException {
        if (input.le32("an LZ4 frame") != MAGIC) {
            throw input.error("no LZ4 legacy frame, expected its magic number");
        }
        while (input.remaining() > 0) {
            int size = input.le32("a block's size");
            if (size == MAGIC) {
                continue; // frames may follow one another
            }
            if (size <= 0) {
                throw input.error(
                        "a block of %d bytes, expected 1 or more"
                                .formatted(Integer.toUnsignedLong(size)));
            }
            input.require(size, "a block");
            block(input.position() + size);
        }
    }

    private void block(int end) throws CorruptDataException {
        int start = output.position();
        while (true) {
            int token = next(end);
            int literals = length(token >>> 4, end);
            if (literals > end - input.position()) {
                throw input.error(
                        "%d literals, expected at most the block's %d bytes"
                                .formatted(literals, end - input.position()));
            }
            output.appendFrom(input, literals);
            if (input.position() == end) {
                break; // the last sequence has no match
            }
            int distance = next(end) | (next(end) << 8);
            int length = length(token & LONG_LENGTH, end) + MIN_MATCH;
            output.appendMatch(input, distance, length, start);
        }
        if (output.position() - start > MAX_BLOCK) {
            throw input.error(
                    "a block of %d bytes, expected at most %d"
                            .formatted(output.position() - start, MAX_BLOCK));
        }
    }

    private int length(int first, int end) throws CorruptDataException {
        int length = first;
        if (first == LONG_LENGTH) {
            int more;
            do {
                more = next(end);
                length += more;
                if (length > MAX_BLOCK) {
                    throw input.error(
                            "a length of %d, expected at most %d".formatted(length, MAX_BLOCK));
                }
            } while (more == 0xff);
        }
        return length;
    }

    private int next(int end) throws CorruptDataException {
        if (input.position() >= end) {
            throw input.error("the block ends within a sequence, expected its rest");
        }
        return input.u8("a sequence");
    }
}
