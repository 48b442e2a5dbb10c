package org.kaval.machine.compression;

import java.util.Arrays;
import org.kaval.devices.compression.CorruptDataException;
import org.kaval.devices.compression.Input;
import org.kaval.devices.compression.Output;

/// bzip2: run lengths, the Burrows-Wheeler transform, move to front, Huffman codes, from the
/// outside to the inside. The format has no specification but its implementation; each block and
/// the whole carry a CRC.
final class Bzip2 {
    private static final long BLOCK_MAGIC = 0x3141_5926_5359L;
    private static final long END_MAGIC = 0x1772_4538_5090L;
    private static final int BLOCK_UNIT = 100_000;
    private static final int MIN_TABLES = 2;
    private static final int MAX_TABLES = 6;

    /// How many symbols are coded with one table before the next selector.
    private static final int GROUP = 50;

    private static final int RUN_A = 0;
    private static final int RUN_B = 1;

    /// A run of as many equal bytes is followed by a count of more.
    private static final int RUN = 4;

    private final Input input;
    private final Output output;
    private final Bits bits;
    private int blockSize;

    private Bzip2(Input input, Output output) {
        this.input = input;
        this.output = output;
        bits = new Bits(input);
    }

    static void decompress(Input input, Output output) throws CorruptDataException {
        new Bzip2(input, output).stream();
    }

    /// Bits of bytes, the highest first.
    private static final class Bits {
        private final Input input;
        private long buffer;
        private int count;

        Bits(Input input) {
            this.input = input;
        }

        /// @param width 1 to 32
        int read(int width) throws CorruptDataException {
            while (count < width) {
                buffer = (buffer << 8) | input.u8("bzip2 data");
                count += 8;
            }
            count -= width;
            return (int) ((buffer >>> count) & ((1L << width) - 1));
        }

        boolean read() throws CorruptDataException {
            return read(1) != 0;
        }

        long read48() throws CorruptDataException {
            return ((long) read(24) << 24) | read(24);
        }
    }

    private void stream() throws CorruptDataException {
        int level = bits.read(32) - 0x425a_6830; // BZh0
        if (level < 1 || level > 9) {
            throw input.error("no bzip2 stream, expected BZh1 to BZh9");
        }
        blockSize = level * BLOCK_UNIT;
        int[] transformed = new int[blockSize];
        int crc = 0;
        long magic = bits.read48();
        while (magic == BLOCK_MAGIC) {
            int blockCrc = block(transformed);
            crc = Integer.rotateLeft(crc, 1) ^ blockCrc;
            magic = bits.read48();
        }
        if (magic != END_MAGIC) {
            throw input.error("a block of kind 0x%x, expected a known one".formatted(magic));
        }
        if (bits.read(32) != crc) {
            throw input.error("a checksum that differs, expected 0x%08x".formatted(crc));
        }
    }

    /// @return its CRC
    private int block(int[] transformed) throws CorruptDataException {
        int expected = bits.read(32);
        if (bits.read()) {
            throw input.error("a randomised block, expected one of bzip2 0.9.5 or later");
        }
        int origin = bits.read(24);
        int length = symbols(transformed);
        if (origin >= length) {
            throw input.error(
                    "origin %d, expected one below the block's %d bytes".formatted(origin, length));
        }
        int crc = write(transformed, length, origin);
        if (crc != expected) {
            throw input.error(
                    "a block with checksum 0x%08x, expected 0x%08x".formatted(crc, expected));
        }
        return crc;
    }

    /// Undoes the Huffman codes and the move to front.
    ///
    /// @return how many bytes there are
    private int symbols(int[] into) throws CorruptDataException {
        byte[] front = usedBytes();
        int alphabet = front.length + 2;
        int tableCount = bits.read(3);
        int selectorCount = bits.read(15);
        if (tableCount < MIN_TABLES || tableCount > MAX_TABLES || selectorCount == 0) {
            throw input.error(
                    "%d tables with %d selectors, expected 2 to 6 with 1 or more"
                            .formatted(tableCount, selectorCount));
        }
        byte[] selectors = selectors(selectorCount, tableCount);
        var tables = new Codes[tableCount];
        for (int i = 0; i < tableCount; i++) {
            tables[i] = codes(alphabet);
        }
        return runs(into, front, selectors, tables);
    }

    private int runs(int[] into, byte[] front, byte[] selectors, Codes[] tables)
            throws CorruptDataException {
        int end = front.length + 1;
        int length = 0;
        int run = 0;
        int weight = 1;
        for (int i = 0; ; i++) {
            if (i / GROUP >= selectors.length) {
                throw input.error("symbols without a selector, expected the block's end");
            }
            int symbol = tables[selectors[i / GROUP]].read(bits);
            if (symbol == RUN_A || symbol == RUN_B) {
                run += weight << symbol;
                weight <<= 1;
                if (run > blockSize) {
                    throw tooLong();
                }
                continue;
            }
            if (run > blockSize - length) {
                throw tooLong();
            }
            Arrays.fill(into, length, length + run, Byte.toUnsignedInt(front[0]));
            length += run;
            run = 0;
            weight = 1;
            if (symbol == end) {
                return length;
            }
            if (length == blockSize) {
                throw tooLong();
            }
            byte value = front[symbol - 1];
            System.arraycopy(front, 0, front, 1, symbol - 1);
            front[0] = value;
            into[length++] = Byte.toUnsignedInt(value);
        }
    }

    private CorruptDataException tooLong() {
        return input.error("a block that is too long, expected %d bytes".formatted(blockSize));
    }

    /// Which bytes the block has, in ascending order.
    private byte[] usedBytes() throws CorruptDataException {
        int groups = bits.read(16);
        byte[] used = new byte[256];
        int count = 0;
        for (int group = 0; group < 16; group++) {
            if ((groups & (0x8000 >>> group)) != 0) {
                int members = bits.read(16);
                for (int i = 0; i < 16; i++) {
                    if ((members & (0x8000 >>> i)) != 0) {
                        used[count++] = (byte) (group * 16 + i);
                    }
                }
            }
        }
        if (count == 0) {
            throw input.error("a block that uses no bytes, expected some");
        }
        return Arrays.copyOf(used, count);
    }

    private byte[] selectors(int count, int tables) throws CorruptDataException {
        byte[] front = {0, 1, 2, 3, 4, 5};
        byte[] selectors = new byte[count];
        for (int i = 0; i < count; i++) {
            int place = 0;
            while (bits.read()) {
                place++;
                if (place >= tables) {
                    throw input.error(
                            "selector %d, expected one below %d".formatted(place, tables));
                }
            }
            byte table = front[place];
            System.arraycopy(front, 0, front, 1, place);
            front[0] = table;
            selectors[i] = table;
        }
        return selectors;
    }

    /// A table of Huffman codes: for each length the first code, and the symbols in their order.
    private static final class Codes {
        static final int MAX_LENGTH = 20;

        private final int[] count = new int[MAX_LENGTH + 1];
        private final int[] symbols;

        Codes(int[] lengths) {
            symbols = new int[lengths.length];
            int next = 0;
            for (int length = 1; length <= MAX_LENGTH; length++) {
                for (int symbol = 0; symbol < lengths.length; symbol++) {
                    if (lengths[symbol] == length) {
                        symbols[next++] = symbol;
                        count[length]++;
                    }
                }
            }
        }

        int read(Bits bits) throws CorruptDataException {
            int code = 0;
            int first = 0;
            int index = 0;
            for (int length = 1; length <= MAX_LENGTH; length++) {
                code |= bits.read(1);
                if (code - first < count[length]) {
                    return symbols[index + code - first];
                }
                index += count[length];
                first = (first + count[length]) << 1;
                code <<= 1;
            }
            throw bits.input.error("no Huffman code of the block, expected one");
        }
    }

    private Codes codes(int alphabet) throws CorruptDataException {
        int[] lengths = new int[alphabet];
        int length = bits.read(5);
        for (int i = 0; i < alphabet; i++) {
            while (true) {
                if (length < 1 || length > Codes.MAX_LENGTH) {
                    throw input.error(
                            "a Huffman code of %d bits, expected 1 to 20".formatted(length));
                }
                if (!bits.read()) {
                    break;
                }
                length += bits.read() ? -1 : 1;
            }
            lengths[i] = length;
        }
        return new Codes(lengths);
    }

    /// Undoes the transform and the outer runs.
    ///
    /// @param block a byte each; the upper bits become links
    /// @return the CRC of what was written
    private int write(int[] block, int length, int origin) throws CorruptDataException {
        int[] next = new int[256];
        for (int i = 0; i < length; i++) {
            next[block[i] & 0xff]++;
        }
        int sum = 0;
        for (int i = 0; i < 256; i++) {
            int count = next[i];
            next[i] = sum;
            sum += count;
        }
        for (int i = 0; i < length; i++) {
            block[next[block[i] & 0xff]++] |= i << 8;
        }
        var writer = new RunWriter();
        int position = block[origin] >>> 8;
        for (int i = 0; i < length; i++) {
            int entry = block[position];
            writer.add((byte) entry);
            position = entry >>> 8;
        }
        return writer.finish();
    }

    /// Undoes the outer run lengths, and sums up the CRC of the result.
    private final class RunWriter {
        private final byte[] buffer = new byte[4096];
        private int used;
        private int crc = -1;
        private int run;
        private byte last;

        void add(byte value) throws CorruptDataException {
            if (run == RUN) {
                for (int i = Byte.toUnsignedInt(value); i > 0; i--) {
                    put(last);
                }
                run = 0;
                return;
            }
            run = run > 0 && value == last ? run + 1 : 1;
            last = value;
            put(value);
        }

        int finish() throws CorruptDataException {
            flush();
            return ~crc;
        }

        private void put(byte value) throws CorruptDataException {
            if (used == buffer.length) {
                flush();
            }
            buffer[used++] = value;
            crc = (crc << 8) ^ CRC[(crc >>> 24) ^ Byte.toUnsignedInt(value)];
        }

        private void flush() throws CorruptDataException {
            output.append(input, buffer, 0, used);
            used = 0;
        }
    }

    /// CRC-32 with the polynomial of Ethernet, the highest bit first.
    private static final int[] CRC = new int[256];

    static {
        for (int i = 0; i < CRC.length; i++) {
            int value = i << 24;
            for (int bit = 0; bit < 8; bit++) {
                value = (value << 1) ^ (value < 0 ? 0x04c1_1db7 : 0);
            }
            CRC[i] = value;
        }
    }
}
