package org.kaval.devices.compression;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// The compressed blocks of one zstd frame (RFC 8878 §3.1.1.3): literals, then sequences of
/// literals and matches. Keeps what a later block may take over from an earlier one.
final class ZstdBlock {
    static final int MAX_SIZE = 128 << 10;

    private static final int HUFFMAN_STREAMS = 4;
    private static final int JUMP_TABLE = 6;

    private final Input input;
    private final Output output;
    private final int frameStart;
    private final byte[] bytes = new byte[MAX_SIZE + ZstdBits.PADDING];
    private final byte[] literals = new byte[MAX_SIZE];
    private int literalCount;
    private @Nullable ZstdHuffman huffman;
    private final ZstdSequences sequences = new ZstdSequences();

    /// @param output of which the frame begins here
    ZstdBlock(Input input, Output output) {
        this.input = input;
        this.output = output;
        frameStart = output.position();
    }

    /// Decompresses the next `size` bytes, at most {@link #MAX_SIZE}.
    void decompress(int size) throws CorruptDataException {
        input.require(size, "a compressed block");
        input.read(bytes, size);
        Arrays.fill(bytes, size, size + ZstdBits.PADDING, (byte) 0);
        int at = literals(size);
        int start = output.position();
        copy(sequences.read(input, bytes, at, size));
        if (output.position() - start > MAX_SIZE) {
            throw input.error(
                    "a block of %d bytes, expected at most %d"
                            .formatted(output.position() - start, MAX_SIZE));
        }
    }

    private void copy(int count) throws CorruptDataException {
        int literal = 0;
        for (int i = 0; i < count; i++) {
            sequences.next(input, i == count - 1);
            int length = sequences.literalLength();
            if (length > literalCount - literal) {
                throw input.error(
                        "%d literals, expected at most %d"
                                .formatted(length, literalCount - literal));
            }
            output.append(input, literals, literal, length);
            literal += length;
            output.appendMatch(input, sequences.offset(), sequences.matchLength(), frameStart);
        }
        output.append(input, literals, literal, literalCount - literal);
    }

    /// Reads the literals section (§3.1.1.3.1).
    ///
    /// @return where it ends
    private int literals(int end) throws CorruptDataException {
        int header = u8(0, end);
        int type = header & 3;
        int format = (header >>> 2) & 3;
        return type < 2 ? plainLiterals(end, type == 1, format) : huffman(end, type == 2, format);
    }

    private int plainLiterals(int end, boolean repeated, int format) throws CorruptDataException {
        int at =
                switch (format) {
                    case 1 -> 2;
                    case 3 -> 3;
                    default -> 1;
                };
        int header = le(0, at, end);
        literalCount = checkCount(at == 1 ? header >>> 3 : header >>> 4);
        if (repeated) {
            Arrays.fill(literals, 0, literalCount, (byte) u8(at, end));
            return at + 1;
        }
        if (literalCount > end - at) {
            throw input.error("%d literals, expected at most %d".formatted(literalCount, end - at));
        }
        System.arraycopy(bytes, at, literals, 0, literalCount);
        return at + literalCount;
    }

    private int huffman(int end, boolean hasTree, int format) throws CorruptDataException {
        int headerSize = format < 2 ? 3 : format + 2;
        int width = format < 2 ? 10 : headerSize * Byte.SIZE / 2 - 2;
        long header = le(0, Math.min(headerSize, 4), end) & 0xffff_ffffL;
        header |= headerSize > 4 ? (long) u8(4, end) << 32 : 0;
        literalCount = checkCount((int) ((header >>> 4) & ((1 << width) - 1)));
        int size = (int) ((header >>> (4 + width)) & ((1 << width) - 1));
        int sectionEnd = headerSize + size;
        if (sectionEnd > end) {
            throw input.error(
                    "literals of %d bytes, expected at most %d".formatted(size, end - headerSize));
        }
        int at = headerSize;
        if (hasTree) {
            ZstdHuffman.Described described = ZstdHuffman.read(input, bytes, at, sectionEnd);
            huffman = described.table();
            at = described.end();
        }
        ZstdHuffman tree = huffman;
        if (tree == null) {
            throw input.error("literals without a Huffman tree, expected one before");
        }
        if (format == 0) {
            tree.decode(input, bytes, at, sectionEnd, literals, 0, literalCount);
        } else {
            streams(tree, at, sectionEnd);
        }
        return sectionEnd;
    }

    /// Decodes four streams of as many symbols each, the last one of the rest (§3.1.1.3.1.6).
    private void streams(ZstdHuffman tree, int at, int end) throws CorruptDataException {
        if (end - at < JUMP_TABLE) {
            throw input.error("literals without a jump table, expected one of 6 bytes");
        }
        int share = (literalCount + HUFFMAN_STREAMS - 1) / HUFFMAN_STREAMS;
        int from = at + JUMP_TABLE;
        for (int i = 0; i < HUFFMAN_STREAMS; i++) {
            boolean last = i == HUFFMAN_STREAMS - 1;
            int to = last ? end : from + le(at + 2 * i, 2, end);
            int first = share * i;
            int behind = last ? literalCount : first + share;
            if (to > end || first > behind || behind > literalCount) {
                throw input.error(
                        "streams of %d literals that do not fit, expected four"
                                .formatted(literalCount));
            }
            tree.decode(input, bytes, from, to, literals, first, behind);
            from = to;
        }
    }

    private int checkCount(int count) throws CorruptDataException {
        if (count > MAX_SIZE) {
            throw input.error("%d literals, expected at most %d".formatted(count, MAX_SIZE));
        }
        return count;
    }

    private int u8(int at, int end) throws CorruptDataException {
        return le(at, 1, end);
    }

    private int le(int at, int size, int end) throws CorruptDataException {
        if (at + size > end) {
            throw input.error("the block ends within its literals, expected their rest");
        }
        int value = 0;
        for (int i = size - 1; i >= 0; i--) {
            value = (value << Byte.SIZE) | Byte.toUnsignedInt(bytes[at + i]);
        }
        return value;
    }
}
