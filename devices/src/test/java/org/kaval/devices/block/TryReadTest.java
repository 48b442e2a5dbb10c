package org.kaval.devices.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.linux.IoVector;

/// Images give at once what needs no disk, and the same bytes as they otherwise do.
class TryReadTest {
    private static final int CLUSTER = 4096;
    private static final int SIZE = 16 * CLUSTER;

    @TempDir private Path directory = Path.of("");

    private final MemoryFile file = new MemoryFile();

    /// A raw image with 5 in its first half.
    private static BlockImage below(MemoryFile content) throws IOException {
        var image = RawImage.over(content, ImageOptions.WRITABLE);
        image.resize(SIZE);
        Bytes.write(image, 0, Bytes.of(5, SIZE / 2));
        return image;
    }

    /// Over the other, with 7 in its second cluster and zeroes in its third.
    private Qcow2Image over(BlockImage below) throws IOException {
        new Qcow2Format(SIZE, 3, 12, 4, false, false, null, null).write(file);
        Qcow2Image image = Qcow2Image.over(file, ImageOptions.WRITABLE, below);
        Bytes.write(image, CLUSTER, Bytes.of(7, CLUSTER));
        image.writeZeroes(2 * CLUSTER, CLUSTER, true);
        image.flush();
        return image;
    }

    private static byte[] expected() {
        byte[] bytes = Arrays.copyOf(Bytes.of(5, SIZE / 2), SIZE);
        Arrays.fill(bytes, CLUSTER, 2 * CLUSTER, (byte) 7);
        Arrays.fill(bytes, 2 * CLUSTER, 3 * CLUSTER, (byte) 0);
        return bytes;
    }

    @Test
    void allThatIsInMemoryIsThereAtOnce() throws Exception {
        var content = new MemoryFile();
        try (Qcow2Image image = over(below(content))) {
            file.cache();
            content.cache();
            IoVector into = Bytes.vector(Bytes.of(0xee, SIZE));
            assertTrue(image.tryRead(0, into, 0, SIZE));
            assertArrayEquals(expected(), Bytes.of(into, 0, SIZE));
        }
    }

    @Test
    void dataThatIsNotInMemoryIsNotWaitedFor() throws Exception {
        var content = new MemoryFile();
        try (Qcow2Image image = over(below(content))) {
            content.cache();
            IoVector into = Bytes.vector(Bytes.of(0xee, SIZE));
            assertTrue(image.tryRead(2 * CLUSTER, into, 0, CLUSTER)); // known to be zeroes
            assertFalse(image.tryRead(CLUSTER, into, 0, CLUSTER));
        }
    }

    @Test
    void imageBelowIsNotWaitedFor() throws Exception {
        try (Qcow2Image image = over(below(new MemoryFile()))) {
            file.cache();
            IoVector into = Bytes.vector(Bytes.of(0xee, SIZE));
            assertTrue(image.tryRead(CLUSTER, into, 0, CLUSTER));
            assertFalse(image.tryRead(0, into, 0, CLUSTER));
        }
    }

    @Test
    void tableThatIsNotInMemoryIsNotWaitedFor() throws Exception {
        over(below(new MemoryFile())).close();
        file.cache();
        try (Qcow2Image image = Qcow2Image.over(file, ImageOptions.WRITABLE, null)) {
            IoVector into = Bytes.vector(Bytes.of(0xee, CLUSTER));
            assertFalse(image.tryRead(CLUSTER, into, 0, CLUSTER));
            image.read(CLUSTER, into);
            assertTrue(image.tryRead(CLUSTER, into, 0, CLUSTER));
        }
    }

    /// Whether the host's file system can tell is its own affair; it may not lie.
    @Test
    void fileOfTheHostGivesWhatItHas() throws Exception {
        Path path = Files.write(directory.resolve("file"), Bytes.of(9, SIZE));
        try (RawImage image = RawImage.open(path, ImageOptions.WRITABLE)) {
            IoVector into = Bytes.vector(Bytes.of(0xee, SIZE));
            boolean read = image.tryRead(0, into, 0, SIZE);
            assertEquals(read ? 9 : (byte) 0xee, Bytes.of(into, 0, 1)[0]);
            assertEquals(read ? 9 : (byte) 0xee, Bytes.of(into, SIZE - 1, 1)[0]);
        }
    }

    @Test
    void pageCacheIsPassedBy() throws Exception {
        Path path = Files.write(directory.resolve("file"), Bytes.of(9, SIZE));
        ImageOptions options = ImageOptions.WRITABLE.withCache(ImageOptions.Cache.NONE);
        try (RawImage image = RawImage.open(path, options)) {
            IoVector into = Bytes.vector(Bytes.of(0xee, SIZE));
            assertFalse(image.tryRead(0, into, 0, SIZE));
        }
    }
}
