package org.kaval.machine.compression;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdOutputStream;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Optional;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.commons.compress.compressors.bzip2.BZip2CompressorOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.compression.CorruptDataException;

/// What libraries compress is decompressed to the same; what is not right is refused.
class CompressionTest {
    private static byte[] decompress(Compression format, byte[] compressed, int size)
            throws CorruptDataException {
        try (Arena arena = Arena.ofConfined()) {
            // behind the input and the output lies what must neither be read nor written
            MemorySegment from = arena.allocate(compressed.length + 16L).fill((byte) 0x55);
            MemorySegment.copy(compressed, 0, from, ValueLayout.JAVA_BYTE, 0, compressed.length);
            MemorySegment into = arena.allocate(size + 16L).fill((byte) 0x55);
            format.decompress(from.asSlice(0, compressed.length), into.asSlice(0, size));
            assertEquals(0x5555_5555, into.get(ValueLayout.JAVA_INT_UNALIGNED, size));
            return into.asSlice(0, size).toArray(ValueLayout.JAVA_BYTE);
        }
    }

    private static String refusal(Compression format, byte[] compressed, int size) {
        var refused =
                assertThrows(
                        CorruptDataException.class, () -> decompress(format, compressed, size));
        assertTrue(refused.offset() >= 0 && refused.offset() <= compressed.length);
        return String.valueOf(refused.getMessage());
    }

    static Stream<Arguments> samples() {
        return Stream.of(Compression.values())
                .flatMap(format ->
                        IntStream.range(0, 12).mapToObj(seed -> Arguments.of(format, seed)));
    }

    @ParameterizedTest
    @MethodSource("samples")
    void contentComesBack(Compression format, int seed) throws CorruptDataException {
        byte[] content = Compressed.content(seed, 1 + seed * seed * 2000);

        byte[] back = decompress(format, Compressed.of(format, content), content.length);

        assertArrayEquals(content, back, "seed " + seed);
    }

    @ParameterizedTest
    @EnumSource(Compression.class)
    void largeContentComesBack(Compression format) throws CorruptDataException {
        byte[] content = Compressed.content(99, 9 << 20); // more than one block of any format

        byte[] back = decompress(format, Compressed.of(format, content), content.length);

        assertArrayEquals(content, back);
    }

    @ParameterizedTest
    @EnumSource(Compression.class)
    void formatIsKnownByItsFirstBytes(Compression format) {
        byte[] start = Arrays.copyOf(Compressed.of(format, new byte[100]), Compression.LOOKED_AT);

        assertEquals(Optional.of(format), Compression.of(start));
    }

    @Test
    void otherBytesAreNoFormat() {
        assertEquals(Optional.empty(), Compression.of(new byte[8]));
        byte[] lzop = {(byte) 0x89, 0x4c, 0x5a, 0x4f, 0, 0x0d, 0x0a, 0x1a};
        assertEquals(Optional.empty(), Compression.of(lzop));
    }

    @ParameterizedTest
    @EnumSource(Compression.class)
    void bytesBehindTheDataAreLeftAlone(Compression format) throws CorruptDataException {
        // LZ4's legacy frame has no end, and whoever calls cuts it off
        byte[] behind = format == Compression.LZ4 ? new byte[0] : new byte[100];
        byte[] content = Compressed.content(5, 10_000);
        byte[] compressed = join(Compressed.of(format, content), behind);

        assertArrayEquals(content, decompress(format, compressed, content.length));
    }

    private static byte[] join(byte[] first, byte[] second) {
        var all = new ByteArrayOutputStream();
        all.writeBytes(first);
        all.writeBytes(second);
        return all.toByteArray();
    }

    @ParameterizedTest
    @EnumSource(Compression.class)
    void contentOfAnotherSizeIsRefused(Compression format) {
        byte[] content = Compressed.content(3, 10_000);
        byte[] compressed = Compressed.of(format, content);

        assertTrue(refusal(format, compressed, content.length - 1).contains("expected"));
        assertTrue(refusal(format, compressed, content.length + 1).contains("expected"));
        assertTrue(refusal(format, compressed, 0).contains("expected"));
    }

    /// 16 MiB of zeros in some hundred bytes: the output is where it ends.
    @ParameterizedTest
    @EnumSource(Compression.class)
    void bombIsStoppedAtTheOutputsEnd(Compression format) {
        byte[] bomb = Compressed.of(format, new byte[16 << 20]);

        assertTrue(refusal(format, bomb, 1 << 20).contains("expected"));
    }

    static Stream<Arguments> truncations() {
        return Stream.of(Compression.values())
                .flatMap(format -> {
                    int length = Compressed.of(format, smallContent()).length;
                    return IntStream.range(0, length).mapToObj(end -> Arguments.of(format, end));
                });
    }

    private static byte[] smallContent() {
        return Compressed.content(11, 400);
    }

    @ParameterizedTest
    @MethodSource("truncations")
    void dataThatEndsTooEarlyIsRefused(Compression format, int end) {
        byte[] content = smallContent();
        byte[] cut = Arrays.copyOf(Compressed.of(format, content), end);

        assertTrue(refusal(format, cut, content.length).contains("expected"));
    }

    /// Formats with a checksum of the content find out; the others may give anything, but never
    /// more, and never another exception.
    @ParameterizedTest
    @MethodSource("samples")
    void changedDataIsRefusedOrDecompressed(Compression format, int seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        byte[] content = Compressed.content(seed, 3000);
        byte[] compressed = Compressed.of(format, content);

        for (int i = 0; i < 100; i++) {
            byte[] changed = compressed.clone();
            changed[random.nextInt(changed.length)] ^= (byte) (1 << random.nextInt(8));
            assertTrue(isRefusedOrSized(format, changed, content.length), "seed " + seed);
        }
    }

    private static boolean isRefusedOrSized(Compression format, byte[] compressed, int size) {
        try {
            return decompress(format, compressed, size).length == size;
        } catch (CorruptDataException e) {
            return String.valueOf(e.getMessage()).contains("expected");
        }
    }

    static IntStream zstdLevels() {
        return IntStream.rangeClosed(-7, 22);
    }

    @ParameterizedTest
    @MethodSource("zstdLevels")
    void everyLevelOfZstdComesBack(int level) throws CorruptDataException {
        byte[] content = Compressed.content(level, 700_000);

        byte[] back = decompress(Compression.ZSTD, Zstd.compress(content, level), content.length);

        assertArrayEquals(content, back, "level " + level);
    }

    /// As `zstd` writes it into a pipe: no content size, a checksum, a large window.
    @ParameterizedTest
    @ValueSource(ints = {1, 9, 22})
    void streamOfZstdComesBack(int level) throws CorruptDataException {
        byte[] content = Compressed.content(level, 3 << 20);
        byte[] compressed =
                Compressed.through(
                        content,
                        out -> new ZstdOutputStream(out, level).setChecksum(true).setLong(27));

        assertArrayEquals(content, decompress(Compression.ZSTD, compressed, content.length));
    }

    @Test
    void wrongChecksumOfZstdIsRefused() {
        byte[] content = Compressed.content(1, 1000);
        byte[] compressed =
                Compressed.through(content, out -> new ZstdOutputStream(out).setChecksum(true));
        compressed[compressed.length - 1]++;

        assertTrue(
                refusal(Compression.ZSTD, compressed, content.length)
                        .startsWith("content with checksum 0x"));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 5, 9})
    void everyBlockSizeOfBzip2ComesBack(int level) throws CorruptDataException {
        byte[] content = Compressed.content(level, 1_200_000);
        byte[] compressed =
                Compressed.through(content, out -> new BZip2CompressorOutputStream(out, level));

        assertArrayEquals(content, decompress(Compression.BZIP2, compressed, content.length));
    }

    @Test
    void dictionaryThatNeedsMoreHeapThanThereIsIsRefused() {
        byte[] compressed = Compressed.of(Compression.LZMA, new byte[100]);
        compressed[4] = 0x7f; // 2 GiB - 1

        String message = refusal(Compression.LZMA, compressed, 100);

        assertTrue(
                message.matches("it needs 2\\d\\d\\d MiB of Java heap, expected at most .* free.*"),
                message);
    }
}
