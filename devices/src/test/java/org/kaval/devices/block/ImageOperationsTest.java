package org.kaval.devices.block;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ImageOperationsTest {
    private static final int MIB = 1 << 20;

    @TempDir private Path directory = Path.of("");

    private final RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(23);

    private Path base = Path.of("");
    private Path top = Path.of("");

    /// What the top image shows.
    private byte[] content = {};

    /// A qcow2 image of 5 MiB over a raw one of 3.
    @BeforeEach
    void make() throws Exception {
        base = Files.write(directory.resolve("base.raw"), Bytes.random(random, 3 * MIB));
        top = directory.resolve("top.qcow2");
        Images.create(top, Qcow2Format.of(5 * MIB).over("base.raw", ImageFormat.RAW));
        try (BlockImage image = open(top, ImageOptions.WRITABLE)) {
            Bytes.write(image, MIB + 300, Bytes.random(random, 200_000));
            Bytes.write(image, 4 * MIB, Bytes.random(random, 1000));
            image.writeZeroes(2 * MIB, 100_000, true);
            content = Bytes.read(image, 0, 5 * MIB);
        }
    }

    private static BlockImage open(Path path, ImageOptions options) throws IOException {
        return Images.open(path, ImageFormat.byName(path), options);
    }

    @Test
    void layersAreCopiedToOneRawFile() throws Exception {
        Path copy = directory.resolve("copy.raw");
        var percent = new ArrayList<Long>();
        try (BlockImage from = open(top, ImageOptions.READ_ONLY)) {
            ImageOperations.convert(
                    from, copy, null, (done, total) -> percent.add(done * 100 / total));
        }
        assertArrayEquals(content, Files.readAllBytes(copy));
        assertEquals(0, percent.getFirst());
        assertEquals(100, percent.getLast());
        try (RawImage raw = RawImage.open(copy, ImageOptions.READ_ONLY)) {
            assertEquals(Extent.Kind.ZERO, raw.extent(3 * MIB, MIB).kind());
        }
    }

    @Test
    void layersAreCopiedToOneQcow2File() throws Exception {
        Path copy = directory.resolve("copy.qcow2");
        try (BlockImage from = open(top, ImageOptions.READ_ONLY)) {
            ImageOperations.convert(
                    from, copy, Qcow2Format.of(from.size()).withClusterBits(12), Progress.NONE);
        }
        Qemu.assertClean(copy);
        Qemu.img("compare", "-f", "qcow2", "-F", "qcow2", top, copy);
        assertTrue(Files.size(copy) < 3.5 * MIB, () -> "file of " + copy.toFile().length());
    }

    @ParameterizedTest
    @ValueSource(ints = {9, 12, 16})
    void compressedCopyIsSmallerAndTheSame(int clusterBits) throws Exception {
        byte[] text = "what is said often can be said in short ".repeat(MIB / 80).getBytes(UTF_8);
        byte[] noise = Bytes.random(random, MIB / 2 + 512); // no multiple of a cluster
        byte[] all = Arrays.copyOf(text, 2 * MIB + noise.length); // between them zeroes
        System.arraycopy(noise, 0, all, 2 * MIB, noise.length);
        Path raw = Files.write(directory.resolve("all.raw"), all);
        Path copy = directory.resolve("compressed.qcow2");
        try (BlockImage from = RawImage.open(raw, ImageOptions.READ_ONLY)) {
            Qcow2Format format = Qcow2Format.of(from.size()).withClusterBits(clusterBits);
            ImageOperations.compress(from, copy, format, Progress.NONE);
        }
        Qemu.assertClean(copy);
        assertEquals(
                List.of(),
                Qcow2Check.check(copy, Qcow2Check.Repair.NOTHING, Progress.NONE).problems());
        assertArrayEquals(all, Qemu.content(copy, "qcow2"));
        assertTrue(Files.size(copy) < MIB, () -> "file of " + copy.toFile().length());
        byte[] change = Bytes.random(random, 5000);
        try (BlockImage image = open(copy, ImageOptions.WRITABLE)) {
            assertArrayEquals(all, Bytes.read(image, 0, all.length));
            Bytes.write(image, 1000, change);
            image.discard(MIB / 4, MIB / 8);
        }
        System.arraycopy(change, 0, all, 1000, change.length);
        Arrays.fill(all, MIB / 4, MIB / 4 + MIB / 8, (byte) 0);
        Qemu.assertClean(copy);
        assertArrayEquals(all, Qemu.content(copy, "qcow2"));
    }

    @Test
    void compressedClustersOfOneReferenceEachShareNoCluster() throws Exception {
        Path copy = directory.resolve("compressed.qcow2");
        var format = new Qcow2Format(content.length, 3, 16, 0, false, false, null, null);
        try (BlockImage from = open(top, ImageOptions.READ_ONLY)) {
            ImageOperations.compress(from, copy, format, Progress.NONE);
        }
        Qemu.assertClean(copy);
        assertArrayEquals(content, Qemu.content(copy, "qcow2"));
    }

    @Test
    void copyThatFailsLeavesNothing() throws Exception {
        Path copy = directory.resolve("copy.raw");
        try (BlockImage from = open(top, ImageOptions.READ_ONLY)) {
            assertThrows(
                    IllegalStateException.class,
                    () ->
                            ImageOperations.convert(
                                    from,
                                    copy,
                                    null,
                                    (done, _) -> {
                                        if (done > 0) {
                                            throw new IllegalStateException("enough");
                                        }
                                    }));
        }
        assertFalse(Files.exists(copy));
    }

    @Test
    void copyDoesNotReplaceAFile() throws Exception {
        byte[] before = Files.readAllBytes(base);
        try (BlockImage from = open(top, ImageOptions.READ_ONLY)) {
            assertThrows(
                    IOException.class,
                    () -> ImageOperations.convert(from, base, null, Progress.NONE));
        }
        assertArrayEquals(before, Files.readAllBytes(base));
    }

    @Test
    void commitMovesAllToTheImageBelow() throws Exception {
        ImageOperations.commit(top, Progress.NONE);

        assertArrayEquals(content, Files.readAllBytes(base));
        Qemu.assertClean(top);
        assertArrayEquals(content, Qemu.content(top, "qcow2"));
        assertEquals(
                0, Qcow2Check.check(top, Qcow2Check.Repair.NOTHING, Progress.NONE).allocated());
    }

    @Test
    void imageWithNothingBelowIsNotCommitted() throws Exception {
        Path alone = directory.resolve("alone.qcow2");
        Images.create(alone, Qcow2Format.of(MIB));
        var refused =
                assertThrows(IOException.class, () -> ImageOperations.commit(alone, Progress.NONE));
        assertEquals(alone + ": there is no image below", refused.getMessage());
    }

    @Test
    void rebaseKeepsTheContent() throws Exception {
        Path other = directory.resolve("other.raw");
        byte[] bytes = Files.readAllBytes(base);
        Arrays.fill(bytes, 0, 100_000, (byte) 1);
        Files.write(other, Arrays.copyOf(bytes, 4 * MIB));
        ImageOperations.rebase(top, "other.raw", ImageFormat.RAW, Progress.NONE);

        Files.delete(base);
        Qemu.assertClean(top);
        assertArrayEquals(content, Qemu.content(top, "qcow2"));
        try (BlockImage image = open(top, ImageOptions.READ_ONLY)) {
            assertArrayEquals(content, Bytes.read(image, 0, 5 * MIB));
        }
    }

    @Test
    void rebaseOverNothingTakesAll() throws Exception {
        ImageOperations.rebase(top, null, null, Progress.NONE);

        Files.delete(base);
        Qemu.assertClean(top);
        assertArrayEquals(content, Qemu.content(top, "qcow2"));
        ImageInfo info = ImageInfo.of(top, ImageFormat.QCOW2);
        assertNull(info.details().orElseThrow().backingFile());
    }

    @Test
    void renameOnlyChangesTheName() throws Exception {
        Files.move(base, directory.resolve("moved"));
        ImageOperations.rename(top, "moved", ImageFormat.RAW);

        Qemu.assertClean(top);
        assertArrayEquals(content, Qemu.content(top, "qcow2"));
    }

    @Test
    void backingFileWithoutAFormatIsNotGuessed() throws Exception {
        // as old versions of QEMU make them
        Path image = directory.resolve("old.qcow2");
        Qemu.img("create", "-q", "-f", "qcow2", image, "1M");
        Qemu.img("rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", "base.raw", image);
        byte[] bytes = Files.readAllBytes(image);
        int extension = indexOf(bytes, 0xe2, 0x79, 0x2a, 0xca);
        bytes[extension] = 1; // an extension that nobody knows
        Files.write(image, bytes);
        var refused =
                assertThrows(IOException.class, () -> open(image, ImageOptions.READ_ONLY).close());
        assertEquals(
                image
                        + ": offset 0x8: the backing file 'base.raw' without a format, expected one;"
                        + " say which it is: kaval disk rebase --unsafe --backing 'base.raw'"
                        + " --backing-format raw|qcow2",
                refused.getMessage());

        ImageOperations.rename(image, "base.raw", ImageFormat.RAW);
        try (BlockImage opened = open(image, ImageOptions.READ_ONLY)) {
            assertArrayEquals(
                    Arrays.copyOf(Files.readAllBytes(base), MIB), Bytes.read(opened, 0, MIB));
        }
    }

    private static int indexOf(byte[] bytes, int... pattern) {
        for (int i = 0; i < bytes.length - pattern.length; i++) {
            int matched = 0;
            while (matched < pattern.length && bytes[i + matched] == (byte) pattern[matched]) {
                matched++;
            }
            if (matched == pattern.length) {
                return i;
            }
        }
        throw new AssertionError("no such bytes");
    }

    /// What a guest would do to read a file of the host after its next start.
    @Test
    void rawImageThatAGuestMadeLookLikeQcow2IsNotOpenedAsThat() throws Exception {
        Path disk = directory.resolve("disk.img");
        Qemu.img("create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", disk, "1M");
        var refused =
                assertThrows(IOException.class, () -> open(disk, ImageOptions.WRITABLE).close());
        assertEquals(
                disk
                        + ": begins like a qcow2 image, but a guest may have written that; say which"
                        + " it is: format=raw or format=qcow2",
                refused.getMessage());

        Path below = directory.resolve("over.qcow2");
        Images.create(below, Qcow2Format.of(MIB).over("disk.img", ImageFormat.RAW));
        try (BlockImage image = open(below, ImageOptions.READ_ONLY)) {
            assertArrayEquals(
                    Arrays.copyOf(Files.readAllBytes(disk), 4096), Bytes.read(image, 0, 4096));
        }
    }

    @Test
    void imageThatIsItsOwnBackingFileIsRefused() throws Exception {
        Path loop = directory.resolve("loop.qcow2");
        Images.create(loop, Qcow2Format.of(MIB).over("loop.qcow2", ImageFormat.QCOW2));
        var refused =
                assertThrows(IOException.class, () -> open(loop, ImageOptions.READ_ONLY).close());
        assertEquals(
                loop
                        + ": more than 200 images over each other; is one of them its own backing"
                        + " file?",
                refused.getMessage());
    }

    @Test
    void overlayLeavesTheImageAsItIs() throws Exception {
        byte[] before = Files.readAllBytes(base);
        BlockImage below = open(base, ImageOptions.READ_ONLY);
        try (BlockImage overlay = Images.overlay(below, directory)) {
            Bytes.write(overlay, 1000, Bytes.of(7, 5000));
            overlay.discard(MIB, MIB);
            byte[] expected = before.clone();
            Arrays.fill(expected, 1000, 6000, (byte) 7);
            Arrays.fill(expected, MIB, 2 * MIB, Bytes.read(overlay, MIB, 1)[0]);
            byte[] now = Bytes.read(overlay, 0, 3 * MIB);
            assertArrayEquals(Arrays.copyOf(expected, MIB), Arrays.copyOf(now, MIB));
            try (Stream<Path> files = Files.list(directory)) {
                assertEquals(2, files.count());
            }
        }
        assertArrayEquals(before, Files.readAllBytes(base));
    }
}
