package org.kaval.devices.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kaval.devices.block.ImageOptions.Cache;
import org.kaval.devices.block.ImageOptions.Discard;
import org.kaval.linux.IoVector;

class RawImageTest {
    private static final int MIB = 1 << 20;

    @TempDir private Path directory = Path.of("");

    @ParameterizedTest
    @EnumSource
    void whatIsWrittenIsRead(Cache cache) throws Exception {
        Path file = file(MIB);
        try (RawImage image = RawImage.open(file, ImageOptions.WRITABLE.withCache(cache))) {
            assertEquals(MIB, image.size());
            Bytes.write(image, 4096, Bytes.of(1, 8192));
            image.flush();
            assertArrayEquals(Bytes.of(1, 8192), Bytes.read(image, 4096, 8192));
            assertArrayEquals(Bytes.of(0, 4096), Bytes.read(image, 0, 4096));
        }
        byte[] content = Files.readAllBytes(file);
        assertArrayEquals(Bytes.of(1, 8192), Arrays.copyOfRange(content, 4096, 3 * 4096));
        assertEquals(MIB, content.length);
    }

    /// Random ranges with random memory alignment, against an array.
    @ParameterizedTest
    @EnumSource
    void anyAlignmentIsTaken(Cache cache) throws Exception {
        var random = RandomGeneratorFactory.of("L64X128MixRandom").create(5);
        var model = new byte[MIB];
        Path file = file(MIB);
        var memory = Arena.ofAuto().allocate(MIB, 4096);
        var vector = new IoVector(8);
        try (RawImage image = RawImage.open(file, ImageOptions.WRITABLE.withCache(cache))) {
            for (int i = 0; i < 200; i++) {
                int unit = i % 2 == 0 ? 1 : 512;
                int offset = random.nextInt(MIB / unit) * unit;
                int length = (1 + random.nextInt((MIB - offset) / unit)) * unit;
                int split = random.nextInt(length);
                byte[] bytes = Bytes.random(random, length);
                vector.clear();
                vector.add(memory, 0, split);
                vector.add(memory, split, length - split);
                vector.copyFrom(0, Bytes.segment(bytes), 0, length);
                image.write(offset, vector);
                System.arraycopy(bytes, 0, model, offset, length);
                int from = random.nextInt(length);
                assertArrayEquals(
                        Arrays.copyOfRange(model, offset + from, offset + length),
                        Bytes.read(image, offset + from, length - from),
                        "round " + i);
            }
        }
        assertArrayEquals(model, Files.readAllBytes(file));
    }

    @Test
    void restOfTheLastSectorIsZeroes() throws Exception {
        Path file = Files.write(directory.resolve("file"), Bytes.of(3, 700));
        try (RawImage image = RawImage.open(file, ImageOptions.WRITABLE)) {
            assertEquals(1024, image.size());
            byte[] expected = Arrays.copyOf(Bytes.of(3, 188), 512);
            assertArrayEquals(expected, Bytes.read(image, 512, 512));
            Bytes.write(image, 1023, (byte) 9);
            expected[511] = 9;
            assertArrayEquals(expected, Bytes.read(image, 512, 512));
        }
        assertEquals(1024, Files.size(file));
    }

    @Test
    void readOnlyImageIsNotChanged() throws Exception {
        Path file = file(4096);
        try (RawImage image = RawImage.open(file, ImageOptions.READ_ONLY)) {
            assertTrue(image.readOnly());
            assertReadOnly(file, () -> Bytes.write(image, 0, (byte) 1));
            assertReadOnly(file, () -> image.discard(0, 4096));
            assertReadOnly(file, () -> image.writeZeroes(0, 4096, true));
            assertReadOnly(file, () -> image.resize(0));
            image.flush();
        }
        assertArrayEquals(new byte[4096], Files.readAllBytes(file));
    }

    private static void assertReadOnly(
            Path file, org.junit.jupiter.api.function.Executable change) {
        var refused = assertThrows(IOException.class, change);
        assertEquals(file + ": opened for reading only", refused.getMessage());
    }

    @Test
    void rangeOutsideIsRefused() throws Exception {
        try (RawImage image = RawImage.open(file(4096), ImageOptions.WRITABLE)) {
            IoVector two = Bytes.vector((byte) 1, (byte) 2);
            assertThrows(IndexOutOfBoundsException.class, () -> image.read(4095, two));
            assertThrows(IndexOutOfBoundsException.class, () -> image.write(4095, two));
            assertThrows(IndexOutOfBoundsException.class, () -> image.write(-1, two));
            assertThrows(IndexOutOfBoundsException.class, () -> image.discard(1, Long.MAX_VALUE));
            assertThrows(IndexOutOfBoundsException.class, () -> image.writeZeroes(4095, 2, false));
        }
    }

    @Test
    void discardGivesSpaceBack() throws Exception {
        Path file = Files.write(directory.resolve("file"), Bytes.of(1, MIB));
        try (RawImage image = RawImage.open(file, ImageOptions.WRITABLE)) {
            image.discard(0, MIB / 2);
            assertEquals(new Extent(Extent.Kind.ZERO, MIB / 2), image.extent(0, MIB));
            assertEquals(new Extent(Extent.Kind.DATA, MIB / 2), image.extent(MIB / 2, MIB / 2));
            assertArrayEquals(Bytes.of(0, MIB / 2), Bytes.read(image, 0, MIB / 2));
        }
    }

    @Test
    void discardIsIgnoredWhereAskedTo() throws Exception {
        Path file = Files.write(directory.resolve("file"), Bytes.of(1, MIB));
        try (RawImage image =
                RawImage.open(file, ImageOptions.WRITABLE.withDiscard(Discard.IGNORE))) {
            image.discard(0, MIB);
            assertEquals(new Extent(Extent.Kind.DATA, MIB), image.extent(0, MIB));
            image.writeZeroes(0, MIB, true);
            assertArrayEquals(Bytes.of(0, MIB), Bytes.read(image, 0, MIB));
        }
    }

    @Test
    void zeroesAreWritten() throws Exception {
        Path file = Files.write(directory.resolve("file"), Bytes.of(1, MIB));
        try (RawImage image = RawImage.open(file, ImageOptions.WRITABLE)) {
            image.writeZeroes(100, 300_000, false);
            image.writeZeroes(500_001, 100_001, true);
        }
        byte[] expected = Bytes.of(1, MIB);
        Arrays.fill(expected, 100, 300_100, (byte) 0);
        Arrays.fill(expected, 500_001, 600_002, (byte) 0);
        assertArrayEquals(expected, Files.readAllBytes(file));
    }

    @Test
    void zeroesAreWrittenWhereTheFileSystemHasNoCallForIt() throws Exception {
        Path file = Files.write(directory.resolve("file"), Bytes.of(1, MIB));
        try (HostFile host = HostFile.open(file, ImageOptions.WRITABLE)) {
            Zeroes.write(host, 1, MIB - 2);
        }
        byte[] expected = new byte[MIB];
        expected[0] = 1;
        expected[MIB - 1] = 1;
        assertArrayEquals(expected, Files.readAllBytes(file));
    }

    @Test
    void sizeIsChanged() throws Exception {
        Path file = Files.write(directory.resolve("file"), Bytes.of(1, 1024));
        try (RawImage image = RawImage.open(file, ImageOptions.WRITABLE)) {
            image.resize(512);
            image.resize(4096);
            assertEquals(4096, image.size());
            assertArrayEquals(Arrays.copyOf(Bytes.of(1, 512), 1024), Bytes.read(image, 0, 1024));
        }
        assertEquals(4096, Files.size(file));
    }

    @Test
    void newImageDoesNotReplaceAFile() throws Exception {
        Path file = directory.resolve("new");
        RawImage.create(file, MIB).close();
        assertEquals(MIB, Files.size(file));
        var refused = assertThrows(IOException.class, () -> RawImage.create(file, 2 * MIB).close());
        assertEquals("openat on %s: EEXIST".formatted(file), refused.getMessage());
        assertEquals(MIB, Files.size(file));
    }

    @Test
    void imageThatCannotBeMadeLeavesNoFile() {
        Path file = directory.resolve("new");
        assertThrows(IOException.class, () -> RawImage.create(file, -1).close());
        assertFalse(Files.exists(file));
    }

    @Test
    void whatIsNoDiskIsRefused() {
        var refused =
                assertThrows(
                        IOException.class,
                        () -> RawImage.open(Path.of("/dev/null"), ImageOptions.READ_ONLY).close());
        assertEquals("/dev/null: neither a file nor a block device", refused.getMessage());
    }

    @Test
    void secondWriterIsRefused() throws Exception {
        Path file = file(4096);
        RawImage writer = RawImage.open(file, ImageOptions.WRITABLE);
        try (writer) {
            assertInUse(
                    file,
                    ImageOptions.WRITABLE,
                    ": in use; one at a time may write it, and" + " nobody read it meanwhile");
            assertInUse(
                    file,
                    ImageOptions.READ_ONLY,
                    ": in use for writing; it can be read when that has ended");
            RawImage.open(file, ImageOptions.READ_ONLY.withLocked(false)).close();
        }
        RawImage.open(file, ImageOptions.WRITABLE).close();
    }

    @Test
    void readersKeepWritersAwayAndNotEachOther() throws Exception {
        Path file = file(4096);
        try (RawImage first = RawImage.open(file, ImageOptions.READ_ONLY);
                RawImage second = RawImage.open(file, ImageOptions.READ_ONLY)) {
            assertEquals(first.size(), second.size());
            assertInUse(
                    file,
                    ImageOptions.WRITABLE,
                    ": in use; one at a time may write it, and" + " nobody read it meanwhile");
        }
        RawImage.open(file, ImageOptions.WRITABLE).close();
    }

    private static void assertInUse(Path file, ImageOptions options, String message) {
        var refused = assertThrows(IOException.class, () -> RawImage.open(file, options).close());
        assertEquals(file + message, refused.getMessage());
    }

    private Path file(int size) throws IOException {
        return Files.write(directory.resolve("file"), new byte[size]);
    }
}
