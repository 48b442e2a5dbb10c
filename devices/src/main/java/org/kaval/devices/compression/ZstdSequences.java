package org.kaval.devices.compression;

import org.jspecify.annotations.Nullable;

/// The sequences section of zstd's blocks (RFC 8878 §3.1.1.3.2): after {@link #read} as many calls
/// of {@link #next} as it says, each of which leaves one sequence in the accessors.
///
/// The tables and the last three offsets stay from block to block.
final class ZstdSequences {
    /// One of the three kinds of codes.
    private static final class Kind {
        private final String name;
        private final int maxAccuracy;
        private final int symbolCount;
        private final ZstdFse predefined;
        private @Nullable ZstdFse table;
        private int state;

        Kind(String name, int maxAccuracy, int symbolCount, ZstdFse predefined) {
            this.name = name;
            this.maxAccuracy = maxAccuracy;
            this.symbolCount = symbolCount;
            this.predefined = predefined;
        }

        /// Sets the table as the block says (§3.1.1.3.2.1).
        ///
        /// @return where its description ends
        int read(Input input, int mode, byte[] bytes, int at, int end) throws CorruptDataException {
            switch (mode) {
                case 0 -> table = predefined;
                case 1 -> {
                    int symbol = at < end ? Byte.toUnsignedInt(bytes[at]) : symbolCount;
                    if (symbol >= symbolCount) {
                        throw input.error(
                                "%s code %d, expected one below %d"
                                        .formatted(name, symbol, symbolCount));
                    }
                    table = ZstdFse.single(symbol);
                    return at + 1;
                }
                case 2 -> {
                    ZstdFse.Described described =
                            ZstdFse.read(input, bytes, at, end, maxAccuracy, symbolCount);
                    table = described.table();
                    return described.end();
                }
                default -> {
                    if (table == null) {
                        throw input.error(
                                "a repeated table of %s, expected one before".formatted(name));
                    }
                }
            }
            return at;
        }

        private ZstdFse table() {
            if (table == null) {
                throw new IllegalStateException("read has not been called");
            }
            return table;
        }

        void begin(ZstdBits bits) {
            state = (int) bits.read(table().accuracy());
        }

        int symbol() {
            return table().symbol(state);
        }

        void advance(ZstdBits bits) {
            state = table().next(state, bits);
        }
    }

    // @formatter:off
    private static final ZstdFse LITERAL_LENGTHS = ZstdFse.of(6,
            4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1,
            -1, -1, -1, -1);
    private static final ZstdFse MATCH_LENGTHS = ZstdFse.of(6,
            1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1);
    private static final ZstdFse OFFSETS = ZstdFse.of(5,
            1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1);

    private static final int[] LITERAL_LENGTH_BASES = {
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 40, 48, 64,
            128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};
    private static final byte[] LITERAL_LENGTH_WIDTHS = {
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6,
            7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    private static final int[] MATCH_LENGTH_BASES = {
            3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
            28, 29, 30, 31, 32, 33, 34, 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027,
            2051, 4099, 8195, 16387, 32771, 65539};
    private static final byte[] MATCH_LENGTH_WIDTHS = {
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    // @formatter:on

    /// Codes of offsets are binary logarithms; with more than 31 an offset has no 32 bits.
    private static final int OFFSET_CODES = 32;

    private final Kind literalLengths =
            new Kind("literal length", 9, LITERAL_LENGTH_BASES.length, LITERAL_LENGTHS);
    private final Kind offsets = new Kind("offset", 8, OFFSET_CODES, OFFSETS);
    private final Kind matchLengths =
            new Kind("match length", 9, MATCH_LENGTH_BASES.length, MATCH_LENGTHS);

    private @Nullable ZstdBits bits;
    private int literalLength;
    private int matchLength;
    private long offset;

    // the last three, the latest first
    private long recent1 = 1;
    private long recent2 = 4;
    private long recent3 = 8;

    /// Reads the section's header and tables.
    ///
    /// @return how many sequences there are
    int read(Input input, byte[] bytes, int at, int end) throws CorruptDataException {
        int count = u8(input, bytes, at, end);
        int next = at + 1;
        if (count == 0) {
            return 0;
        }
        if (count == 0xff) {
            count = u8(input, bytes, next++, end);
            count += (u8(input, bytes, next++, end) << 8) + 0x7f00;
        } else if (count >= 0x80) {
            count = ((count - 0x80) << 8) + u8(input, bytes, next++, end);
        }
        int modes = u8(input, bytes, next++, end);
        if ((modes & 3) != 0) {
            throw input.error(
                    "compression modes 0x%x, expected bits 0 and 1 clear".formatted(modes));
        }
        next = literalLengths.read(input, modes >>> 6, bytes, next, end);
        next = offsets.read(input, (modes >>> 4) & 3, bytes, next, end);
        next = matchLengths.read(input, (modes >>> 2) & 3, bytes, next, end);
        var stream = new ZstdBits(input, bytes, next, end);
        literalLengths.begin(stream);
        offsets.begin(stream);
        matchLengths.begin(stream);
        bits = stream;
        return count;
    }

    private static int u8(Input input, byte[] bytes, int at, int end) throws CorruptDataException {
        if (at >= end) {
            throw input.error("the block ends within its sequences, expected their rest");
        }
        return Byte.toUnsignedInt(bytes[at]);
    }

    /// Decodes the next sequence (§3.1.1.3.2.1.2).
    ///
    /// @param last whether the stream has to end with it
    void next(Input input, boolean last) throws CorruptDataException {
        ZstdBits stream = bits;
        if (stream == null) {
            throw new IllegalStateException("read has not been called");
        }
        int offsetCode = offsets.symbol();
        int literalCode = literalLengths.symbol();
        int matchCode = matchLengths.symbol();
        long value = (1L << offsetCode) + stream.read(offsetCode);
        matchLength =
                MATCH_LENGTH_BASES[matchCode] + (int) stream.read(MATCH_LENGTH_WIDTHS[matchCode]);
        literalLength =
                LITERAL_LENGTH_BASES[literalCode]
                        + (int) stream.read(LITERAL_LENGTH_WIDTHS[literalCode]);
        chooseOffset(value);
        if (!last) {
            literalLengths.advance(stream);
            matchLengths.advance(stream);
            offsets.advance(stream);
        }
        if (last ? stream.left() != 0 : stream.left() < 0) {
            throw input.error(
                    "a stream of sequences with %d bits left, expected %s"
                            .formatted(stream.left(), last ? "0" : "more"));
        }
    }

    /// The lowest values repeat recent offsets (§3.1.1.5).
    private void chooseOffset(long value) {
        if (value > 3) {
            offset = value - 3;
            recent3 = recent2;
            recent2 = recent1;
        } else {
            long repeat = literalLength == 0 ? value : value - 1;
            if (repeat == 0) {
                offset = recent1;
                return;
            }
            if (repeat == 1) {
                offset = recent2;
            } else {
                offset = repeat == 2 ? recent3 : recent1 - 1;
                recent3 = recent2;
            }
            recent2 = recent1;
        }
        recent1 = offset;
    }

    int literalLength() {
        return literalLength;
    }

    int matchLength() {
        return matchLength;
    }

    /// How far back the match is; 0 or less if that is no offset.
    int offset() {
        return offset > Integer.MAX_VALUE ? -1 : (int) offset;
    }
}
