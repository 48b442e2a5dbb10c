package org.kaval.devices.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class Qcow2HeaderTest {
    @Test
    void headerIsReadAsItWasWritten() throws Exception {
        var format = new Qcow2Format(5 << 20, 3, 12, 5, true, true, "the base", ImageFormat.RAW);
        var file = new MemoryFile();
        format.write(file);
        Qcow2Header header = Qcow2Header.read(file);

        assertEquals(3, header.version());
        assertEquals(5 << 20, header.size());
        assertEquals(4096, header.clusterSize());
        assertEquals(5, header.refcountOrder());
        assertEquals(Qcow2Header.ZSTD, header.compressionType());
        assertEquals(Qcow2.LAZY_REFCOUNTS, header.compatible());
        assertEquals("the base", header.backingFile());
        assertEquals("raw", header.backingFormat().orElseThrow());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "0 | 4 | 1 | 0: 0x00000001, expected the magic number of qcow2",
                "4 | 4 | 4 | 4: version 4, expected 2 or 3",
                "4 | 4 | -1 | 4: version 4294967295, expected 2 or 3",
                "8 | 8 | 4094 | 8: the backing file's name at 0xffe, expected within the first"
                        + " cluster",
                "8 | 8 | -1 | 8: the backing file's name at 0xffffffffffffffff, expected within the"
                        + " first cluster",
                "16 | 4 | 0 | 10: a backing file's name of 0 bytes, expected 1 to 1023",
                "16 | 4 | -1 | 10: a backing file's name of 4294967295 bytes, expected 1 to 1023",
                "20 | 4 | 8 | 14: clusters of 2^8 bytes, expected 2^9 to 2^21",
                "20 | 4 | 22 | 14: clusters of 2^22 bytes, expected 2^9 to 2^21",
                "24 | 8 | -1 | 18: a disk of 18446744073709551615 bytes, expected less than 2^63",
                "24 | 8 | 0x40000000 | 24: an L1 table of 3 entries, expected at least 512 for a"
                        + " disk of 1073741824 bytes",
                "32 | 4 | 1 | 20: the image is encrypted (method 1), expected one that is not",
                "36 | 4 | -1 | 24: an L1 table of 34359738360 bytes, expected at most 33554432",
                "36 | 4 | 4000 | 28: the L1 table at 0x3000 with 32000 bytes, expected at a cluster"
                        + " and within the file of 16384 bytes",
                "40 | 8 | 4097 | 28: the L1 table at 0x1001 with 24 bytes, expected at a cluster and"
                        + " within the file of 16384 bytes",
                "40 | 8 | 0 | 28: the L1 table at 0x0 with 24 bytes, expected at a cluster and within"
                        + " the file of 16384 bytes",
                "40 | 8 | 0x7ffffffffffff000 | 28: the L1 table at 0x7ffffffffffff000 with 24 bytes,"
                        + " expected at a cluster and within the file of 16384 bytes",
                "48 | 8 | -4096 | 30: the refcount table at 0xfffffffffffff000 with 4096 bytes,"
                        + " expected at a cluster and within the file of 16384 bytes",
                "56 | 4 | 0 | 38: a refcount table of 0 bytes, expected 1 to 8388608",
                "56 | 4 | -1 | 38: a refcount table of 17592186040320 bytes, expected 1 to 8388608",
                "60 | 4 | -1 | 3c: 4294967295 snapshots, expected at most 65536",
                "60 | 4 | 1 | 40: the snapshot table at 0x0 with 40 bytes, expected at a cluster and"
                        + " within the file of 16384 bytes",
                "72 | 8 | 32 | 48: the image needs feature 5, expected only what is known: dirty,"
                        + " corrupt, compression type, extended L2 entries",
                "72 | 8 | 4 | 48: the image needs feature 2 (external data file), expected only what"
                        + " is known: dirty, corrupt, compression type, extended L2 entries",
                "72 | 8 | 8 | 68: compression 0, expected the feature bit 'compression type' to agree",
                "96 | 4 | 7 | 60: reference counts of 2^7 bits, expected 2^0 to 2^6",
                "100 | 4 | 96 | 64: a header of 96 bytes, expected a multiple of 8 from 104 to a"
                        + " cluster",
                "100 | 4 | -8 | 64: a header of 4294967288 bytes, expected a multiple of 8 from 104 to"
                        + " a cluster",
                "104 | 1 | 2 | 68: compression 2, expected 0 (zlib) or 1 (zstd)",
                "116 | 4 | -1 | 74: a header extension of 4294967295 bytes, expected at most 16",
            })
    void nonsenseIsRefusedInOneLine(int offset, int width, String value, String message)
            throws Exception {
        byte[] bytes = image();
        MemorySegment segment = MemorySegment.ofArray(bytes);
        long number = Long.decode(value);
        switch (width) {
            case 1 -> bytes[offset] = (byte) number;
            case 4 -> segment.set(Qcow2.BE32, offset, (int) number);
            default -> segment.set(Qcow2.BE64, offset, number);
        }
        var refused =
                assertThrows(
                        CorruptImageException.class, () -> Qcow2Header.read(new MemoryFile(bytes)));
        assertEquals("memory: offset 0x" + message, refused.getMessage());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 71, 72, 103, 111, 4095})
    void truncatedFileIsRefused(int size) throws Exception {
        byte[] bytes = java.util.Arrays.copyOf(image(), size);
        assertThrows(CorruptImageException.class, () -> Qcow2Header.read(new MemoryFile(bytes)));
    }

    @Test
    void clusterOverATableIsRefused() throws Exception {
        var file = new MemoryFile();
        Qcow2Format.of(1 << 20).withClusterBits(12).write(file);
        byte[] bytes;
        try (Qcow2Image image = Qcow2Image.over(file, ImageOptions.WRITABLE, null)) {
            Bytes.write(image, 0, Bytes.of(1, 4096));
            image.flush();
            bytes = file.content();
        }
        MemorySegment segment = MemorySegment.ofArray(bytes);
        long l1 = segment.get(Qcow2.BE64, Qcow2.L1_OFFSET);
        long l2 = segment.get(Qcow2.BE64, l1) & Qcow2.OFFSET_MASK;
        segment.set(Qcow2.BE64, l2, l1 | Qcow2.COPIED);
        try (Qcow2Image image =
                Qcow2Image.over(new MemoryFile(bytes), ImageOptions.WRITABLE, null)) {
            assertCorrupt(l2, () -> Bytes.write(image, 0, (byte) 1));
            assertCorrupt(l2, () -> Bytes.read(image, 0, 1));
        }
        segment.set(Qcow2.BE64, l1, 4097 | Qcow2.COPIED);
        try (Qcow2Image image =
                Qcow2Image.over(new MemoryFile(bytes), ImageOptions.READ_ONLY, null)) {
            assertCorrupt(l1, () -> Bytes.read(image, 0, 1));
        }
    }

    private static void assertCorrupt(
            long offset, org.junit.jupiter.api.function.Executable access) {
        var refused = assertThrows(CorruptImageException.class, access);
        assertEquals(offset, refused.offset());
        assertTrue(
                String.valueOf(refused.getMessage()).contains("expected a multiple of 0x1000"),
                refused::getMessage);
    }

    /// 4 clusters of 4 KiB, with a disk of 5 MiB.
    private static byte[] image() throws IOException {
        var file = new MemoryFile();
        Qcow2Format.of(5 << 20).withClusterBits(12).over("base", ImageFormat.RAW).write(file);
        return file.content();
    }
}
