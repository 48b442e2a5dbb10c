package org.kaval.devices.compression;

/// A decoding table of finite state entropy (RFC 8878 §4.1.1): for each state its symbol, and how
/// to get to the next one.
final class ZstdFse {
    private static final int MIN_ACCURACY = 5;

    private final int accuracy;
    private final byte[] symbols;
    private final byte[] widths;
    private final short[] bases;

    private ZstdFse(int accuracy) {
        this.accuracy = accuracy;
        symbols = new byte[1 << accuracy];
        widths = new byte[1 << accuracy];
        bases = new short[1 << accuracy];
    }

    /// Binary logarithm of the number of states: how many bits the first state has.
    int accuracy() {
        return accuracy;
    }

    int symbol(int state) {
        return Byte.toUnsignedInt(symbols[state]);
    }

    /// The state that follows, with bits from the stream.
    int next(int state, ZstdBits bits) {
        return bases[state] + (int) bits.read(widths[state]);
    }

    /// A table with one state, which stays the same.
    static ZstdFse single(int symbol) {
        var table = new ZstdFse(0);
        table.symbols[0] = (byte) symbol;
        return table;
    }

    /// Makes a table from the symbols' probabilities, of which -1 is "less than one".
    static ZstdFse of(int accuracy, int... probabilities) {
        var table = new ZstdFse(accuracy);
        int size = 1 << accuracy;
        int[] next = new int[probabilities.length];
        int high = size;
        for (int symbol = 0; symbol < probabilities.length; symbol++) {
            next[symbol] = Math.abs(probabilities[symbol]);
            if (probabilities[symbol] == -1) {
                table.symbols[--high] = (byte) symbol;
            }
        }
        table.spread(high, probabilities);
        for (int state = 0; state < size; state++) {
            int value = next[table.symbol(state)]++;
            int width = accuracy - (Integer.SIZE - 1 - Integer.numberOfLeadingZeros(value));
            table.widths[state] = (byte) width;
            table.bases[state] = (short) ((value << width) - size);
        }
        return table;
    }

    private void spread(int high, int[] probabilities) {
        int size = symbols.length;
        int step = (size >> 1) + (size >> 3) + 3;
        int position = 0;
        for (int symbol = 0; symbol < probabilities.length; symbol++) {
            for (int i = 0; i < probabilities[symbol]; i++) {
                symbols[position] = (byte) symbol;
                do {
                    position = (position + step) & (size - 1);
                } while (position >= high);
            }
        }
    }

    /// A table, and where in the block its description ends.
    record Described(ZstdFse table, int end) {}

    /// Reads a table's description (§4.1.1).
    ///
    /// @param bytes with {@link ZstdBits#PADDING} behind `end`
    /// @param maxAccuracy the largest allowed
    /// @param symbolCount how many symbols there may be
    static Described read(
            Input input, byte[] bytes, int at, int end, int maxAccuracy, int symbolCount)
            throws CorruptDataException {
        var bits = new ForwardBits(bytes, at);
        int accuracy = bits.read(4) + MIN_ACCURACY;
        if (at >= end || accuracy > maxAccuracy) {
            throw input.error(
                    "an FSE table of accuracy %d, expected at most %d"
                            .formatted(accuracy, maxAccuracy));
        }
        int[] probabilities = new int[symbolCount];
        int remaining = 1 << accuracy;
        int symbol = 0;
        while (remaining > 0) {
            if (symbol >= symbolCount || bits.position > (long) end * Byte.SIZE) {
                throw tableError(input, symbolCount);
            }
            int probability = bits.readProbability(remaining);
            remaining -= Math.abs(probability);
            probabilities[symbol++] = probability;
            if (probability == 0) {
                symbol += bits.readZeros(symbolCount - symbol);
            }
        }
        int next = Math.ceilDiv(bits.position, Byte.SIZE);
        if (remaining < 0 || next > end || symbol > symbolCount) {
            throw tableError(input, symbolCount);
        }
        return new Described(of(accuracy, probabilities), next);
    }

    private static CorruptDataException tableError(Input input, int symbolCount) {
        return input.error(
                "an FSE table that does not add up, expected at most %d symbols"
                        .formatted(symbolCount));
    }

    /// Bits from front to back, the lowest first.
    private static final class ForwardBits {
        private final byte[] bytes;
        private int position;

        ForwardBits(byte[] bytes, int at) {
            this.bytes = bytes;
            position = at * Byte.SIZE;
        }

        /// @param width 1 to 16
        int read(int width) {
            int value = peek(width);
            position += width;
            return value;
        }

        private int peek(int width) {
            int at = position >>> 3;
            int value = byteAt(at) | (byteAt(at + 1) << 8) | (byteAt(at + 2) << 16);
            return (value >>> (position & 7)) & ((1 << width) - 1);
        }

        private int byteAt(int at) {
            return at < bytes.length ? Byte.toUnsignedInt(bytes[at]) : 0;
        }

        /// Reads a probability, in fewer bits if it is one of the lower values (§4.1.1).
        int readProbability(int remaining) {
            int width = Integer.SIZE - Integer.numberOfLeadingZeros(remaining + 1);
            int value = peek(width);
            int high = 1 << (width - 1);
            int low = value & (high - 1);
            int threshold = (1 << width) - 1 - (remaining + 1);
            if (low < threshold) {
                position += width - 1;
                return low - 1;
            }
            position += width;
            return (value >= high ? value - threshold : value) - 1;
        }

        /// Reads how many more probabilities are 0.
        ///
        /// @param limit behind which counting makes no sense
        int readZeros(int limit) {
            int zeros = 0;
            int more;
            do {
                more = read(2);
                zeros += more;
            } while (more == 3 && zeros <= limit);
            return zeros;
        }
    }
}
