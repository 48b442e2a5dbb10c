package org.kaval.devices.compression;

import java.util.Arrays;

/// A decoding table of Huffman codes (RFC 8878 §4.2.1): for each possible next bits the symbol and
/// the width of its code.
final class ZstdHuffman {
    private static final int MAX_WIDTH = 11;
    private static final int MAX_SYMBOLS = 256;
    private static final int MAX_WEIGHT_ACCURACY = 6;

    /// Weights of 4 bits each from here on; below, as many bytes of FSE.
    private static final int DIRECT = 128;

    private final int width;
    private final byte[] symbols;
    private final byte[] widths;

    private ZstdHuffman(int width) {
        this.width = width;
        symbols = new byte[1 << width];
        widths = new byte[1 << width];
    }

    /// A table, and where in the block its description ends.
    record Described(ZstdHuffman table, int end) {}

    /// Reads a tree's description.
    static Described read(Input input, byte[] bytes, int at, int end) throws CorruptDataException {
        if (at >= end) {
            throw input.error("no Huffman tree, expected one");
        }
        int header = Byte.toUnsignedInt(bytes[at]);
        int[] weights = new int[MAX_SYMBOLS];
        int size = header < DIRECT ? header : (header - DIRECT + 2) / 2;
        int next = at + 1 + size;
        if (next > end) {
            throw input.error(
                    "a Huffman tree of %d bytes, expected at most %d"
                            .formatted(size, end - at - 1));
        }
        int count;
        if (header < DIRECT) {
            count = readWeights(input, bytes, at + 1, next, weights);
        } else {
            count = header - DIRECT + 1;
            for (int i = 0; i < count; i++) {
                int pair = Byte.toUnsignedInt(bytes[at + 1 + i / 2]);
                weights[i] = i % 2 == 0 ? pair >>> 4 : pair & 0xf;
            }
        }
        return new Described(of(input, weights, count), next);
    }

    /// Reads weights that two states in turn decode, until the stream has no more bits (§4.2.1.2).
    private static int readWeights(Input input, byte[] bytes, int at, int end, int[] weights)
            throws CorruptDataException {
        ZstdFse.Described described =
                ZstdFse.read(input, bytes, at, end, MAX_WEIGHT_ACCURACY, MAX_WIDTH + 1);
        ZstdFse table = described.table();
        var bits = new ZstdBits(input, bytes, described.end(), end);
        int state = (int) bits.read(table.accuracy());
        int other = (int) bits.read(table.accuracy());
        int count = 0;
        while (count < MAX_SYMBOLS - 2) {
            weights[count++] = table.symbol(state);
            int next = table.next(state, bits);
            state = other;
            other = next;
            if (bits.left() < 0) {
                weights[count++] = table.symbol(state);
                return count;
            }
        }
        throw input.error("more than 255 Huffman weights, expected at most as many");
    }

    /// Makes a table; the weight of the last symbol is what is missing to a power of two.
    private static ZstdHuffman of(Input input, int[] weights, int count)
            throws CorruptDataException {
        int sum = 0;
        for (int weight : weights) {
            if (weight > MAX_WIDTH) {
                throw input.error("a Huffman weight of %d, expected at most 11".formatted(weight));
            }
            sum += weight == 0 ? 0 : 1 << (weight - 1);
        }
        int width = Integer.SIZE - Integer.numberOfLeadingZeros(sum);
        int rest = (1 << width) - sum;
        if (sum == 0 || width > MAX_WIDTH || Integer.bitCount(rest) != 1) {
            throw input.error("Huffman weights that add up to %d, expected a tree".formatted(sum));
        }
        weights[count] = Integer.numberOfTrailingZeros(rest) + 1;
        var table = new ZstdHuffman(width);
        int at = 0;
        for (int weight = 1; weight <= width; weight++) {
            for (int symbol = 0; symbol <= count; symbol++) {
                if (weights[symbol] == weight) {
                    int end = at + (1 << (weight - 1));
                    Arrays.fill(table.symbols, at, end, (byte) symbol);
                    Arrays.fill(table.widths, at, end, (byte) (width + 1 - weight));
                    at = end;
                }
            }
        }
        return table;
    }

    /// Decodes one stream (§4.2.2), which has to end with its last symbol.
    void decode(Input input, byte[] bytes, int at, int end, byte[] into, int from, int to)
            throws CorruptDataException {
        var bits = new ZstdBits(input, bytes, at, end);
        for (int i = from; i < to; i++) {
            int code = bits.peek(width);
            into[i] = symbols[code];
            bits.skip(widths[code]);
        }
        if (bits.left() != 0) {
            throw input.error(
                    "a Huffman stream with %d bits left, expected 0".formatted(bits.left()));
        }
    }
}
