package org.kaval.devices.compression;

/// Zstandard (RFC 8878): one frame, without a dictionary. Its window is the output itself, however
/// large it says it is.
public final class Zstd {
    public static final int MAGIC = 0xfd2f_b528;

    private static final int SINGLE_SEGMENT = 1 << 5;
    private static final int RESERVED = 1 << 3;
    private static final int HAS_CHECKSUM = 1 << 2;

    private static final int RAW = 0;
    private static final int REPEATED = 1;
    private static final int COMPRESSED = 2;

    private final Input input;
    private final Output output;

    private Zstd(Input input, Output output) {
        this.input = input;
        this.output = output;
    }

    /// Decompresses the frame at the beginning of `input`, which may go on behind it.
    public static void decompress(Input input, Output output) throws CorruptDataException {
        new Zstd(input, output).frame();
    }

    private void frame() throws CorruptDataException {
        if (input.le32("a zstd frame") != MAGIC) {
            throw input.error("no zstd frame, expected its magic number");
        }
        int descriptor = input.u8("a frame header");
        if ((descriptor & RESERVED) != 0) {
            throw input.error(
                    "frame header descriptor 0x%x, expected bit 3 clear".formatted(descriptor));
        }
        boolean singleSegment = (descriptor & SINGLE_SEGMENT) != 0;
        if (!singleSegment) {
            input.u8("a window descriptor");
        }
        checkDictionary(descriptor & 3);
        checkSize(descriptor >>> 6, singleSegment);
        int start = output.position();
        var block = new ZstdBlock(input, output);
        boolean last;
        do {
            int header = input.le24("a block header");
            last = (header & 1) != 0;
            block(block, (header >>> 1) & 3, header >>> 3);
        } while (!last);
        if ((descriptor & HAS_CHECKSUM) != 0) {
            int expected = input.le32("the checksum");
            int actual = (int) XxHash64.of(output.since(start));
            if (actual != expected) {
                throw input.error(
                        "content with checksum 0x%08x, expected 0x%08x"
                                .formatted(actual, expected));
            }
        }
    }

    private void block(ZstdBlock block, int type, int size) throws CorruptDataException {
        if (size > ZstdBlock.MAX_SIZE) {
            throw input.error(
                    "a block of %d bytes, expected at most %d".formatted(size, ZstdBlock.MAX_SIZE));
        }
        switch (type) {
            case RAW -> {
                input.require(size, "a block");
                output.appendFrom(input, size);
            }
            case REPEATED -> output.fill(input, (byte) input.u8("a block"), size);
            case COMPRESSED -> block.decompress(size);
            default -> throw input.error("a block of the reserved type, expected another");
        }
    }

    private void checkDictionary(int flag) throws CorruptDataException {
        int id =
                switch (flag) {
                    case 0 -> 0;
                    case 1 -> input.u8("a dictionary");
                    case 2 -> input.le16("a dictionary");
                    default -> input.le32("a dictionary");
                };
        if (id != 0) {
            throw input.error("dictionary 0x%x, expected none".formatted(id));
        }
    }

    private void checkSize(int flag, boolean singleSegment) throws CorruptDataException {
        String what = "the content's size";
        long size =
                switch (flag) {
                    case 0 -> singleSegment ? input.u8(what) : -1;
                    case 1 -> input.le16(what) + 256;
                    case 2 -> Integer.toUnsignedLong(input.le32(what));
                    default -> input.le64(what);
                };
        if ((singleSegment || flag != 0) && size != output.capacity()) {
            throw input.error(
                    "content of %s bytes, expected %d"
                            .formatted(Long.toUnsignedString(size), output.capacity()));
        }
    }
}
