package org.kaval.devices.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Images that QEMU made are read and written right, and QEMU reads what was made here.
class Qcow2AgainstQemuTest {
    private static final int MIB = 1 << 20;

    @TempDir private Path directory = Path.of("");

    private final RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(17);

    @ParameterizedTest
    @ValueSource(
            strings = {
                "compat=0.10",
                "compat=1.1",
                "compat=1.1,lazy_refcounts=on",
                "compat=1.1,cluster_size=512",
                "compat=1.1,cluster_size=2M",
                "compat=1.1,refcount_bits=1",
                "compat=1.1,refcount_bits=2",
                "compat=1.1,refcount_bits=4",
                "compat=1.1,refcount_bits=8",
                "compat=1.1,refcount_bits=32",
                "compat=1.1,refcount_bits=64,cluster_size=4096",
                "compat=1.1,preallocation=metadata",
                "compat=1.1,preallocation=full",
                "compat=1.1,compression_type=zstd",
            })
    void imageThatQemuMadeIsReadAndWritten(String options) throws Exception {
        Path image = directory.resolve("image.qcow2");
        Qemu.img("create", "-q", "-f", "qcow2", "-o", options, image, "8M");
        Qemu.io(image, "qcow2", "write -q -P 17 100k 300k");
        var expected = new byte[8 * MIB];
        Arrays.fill(expected, 100 << 10, 400 << 10, (byte) 17);
        try (BlockImage ours = Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            assertArrayEquals(expected, Bytes.read(ours, 0, 8 * MIB));
            byte[] written = Bytes.random(random, 3 * MIB);
            Bytes.write(ours, 350_001, written);
            System.arraycopy(written, 0, expected, 350_001, written.length);
            ours.writeZeroes(MIB, MIB + 5, true);
            Arrays.fill(expected, MIB, 2 * MIB + 5, (byte) 0);
            assertArrayEquals(expected, Bytes.read(ours, 0, 8 * MIB));
        }
        Qemu.assertClean(image);
        assertArrayEquals(expected, Qemu.content(image, "qcow2"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "compat=0.10",
                "compat=1.1",
                "compression_type=zstd",
                "compression_type=zstd,cluster_size=4096",
                "cluster_size=2M",
            })
    void compressedClustersAreReadAndReplaced(String options) throws Exception {
        byte[] expected = compressible(4 * MIB + 512);
        Path raw = Files.write(directory.resolve("raw"), expected);
        Path image = directory.resolve("image.qcow2");
        Qemu.img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, raw, image);
        try (BlockImage ours = Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            assertArrayEquals(expected, Bytes.read(ours, 0, expected.length));
            for (int i = 0; i < 20; i++) {
                int offset = random.nextInt(expected.length - 5000);
                byte[] written = Bytes.random(random, 1 + random.nextInt(5000));
                Bytes.write(ours, offset, written);
                System.arraycopy(written, 0, expected, offset, written.length);
            }
            assertArrayEquals(expected, Bytes.read(ours, 0, expected.length));
            ours.flush();
        }
        Qemu.assertClean(image);
        assertArrayEquals(expected, Qemu.content(image, "qcow2"));
    }

    @Test
    void extendedEntriesAreRead() throws Exception {
        Path image = directory.resolve("image.qcow2");
        Path raw = Files.write(directory.resolve("base"), Bytes.random(random, 4 * MIB));
        Qemu.img(
                "create",
                "-q",
                "-f",
                "qcow2",
                "-F",
                "raw",
                "-b",
                raw,
                "-o",
                "extended_l2=on",
                image,
                "5M");
        Qemu.io(image, "qcow2", "write -q -P 3 5k 70k");
        Qemu.io(image, "qcow2", "write -q -z 200k 6k");
        Qemu.io(image, "qcow2", "write -q -z -u 1M 200k");
        Qemu.io(image, "qcow2", "write -q -c -P 5 2M 64k");
        try (BlockImage ours = Images.open(image, ImageFormat.QCOW2, ImageOptions.READ_ONLY)) {
            assertArrayEquals(Qemu.content(image, "qcow2"), Bytes.read(ours, 0, (int) ours.size()));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {9, 12, 16, 21})
    void qemuReadsWhatWasMadeHere(int clusterBits) throws Exception {
        Path image = directory.resolve("image.qcow2");
        Images.create(image, Qcow2Format.of(8 * MIB + 512).withClusterBits(clusterBits));
        Qemu.assertClean(image);
        var expected = new byte[8 * MIB + 512];
        try (BlockImage ours = Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            byte[] written = Bytes.random(random, 3 * MIB);
            Bytes.write(ours, 8 * MIB + 512 - written.length, written);
            System.arraycopy(
                    written, 0, expected, expected.length - written.length, written.length);
        }
        Qemu.assertClean(image);
        assertArrayEquals(expected, Qemu.content(image, "qcow2"));
    }

    @Test
    void chainOfImagesIsRead() throws Exception {
        Path raw = Files.write(directory.resolve("base.raw"), Bytes.random(random, 3 * MIB));
        Path middle = directory.resolve("middle");
        Path top = directory.resolve("top");
        Qemu.img("create", "-q", "-f", "qcow2", "-F", "raw", "-b", "base.raw", middle, "4M");
        Qemu.img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "middle", top, "5M");
        Qemu.io(middle, "qcow2", "write -q -P 3 100k 200k");
        Qemu.io(top, "qcow2", "write -q -P 4 150k 10k");
        byte[] expected = Qemu.content(top, "qcow2");
        byte[] base = Files.readAllBytes(raw);
        try (BlockImage ours = Images.open(top, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            assertArrayEquals(expected, Bytes.read(ours, 0, 5 * MIB));
            Bytes.write(ours, 3 * MIB - 100, Bytes.of(9, 200));
            Arrays.fill(expected, 3 * MIB - 100, 3 * MIB + 100, (byte) 9);
        }
        Qemu.assertClean(top);
        assertArrayEquals(expected, Qemu.content(top, "qcow2"));
        assertArrayEquals(base, Files.readAllBytes(raw));
    }

    @Test
    void snapshotsStayAsTheyAre() throws Exception {
        Path image = directory.resolve("image.qcow2");
        Qemu.img("create", "-q", "-f", "qcow2", "-o", "cluster_size=4096", image, "6M");
        byte[] before = Bytes.random(random, 6 * MIB);
        try (BlockImage ours = Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            Bytes.write(ours, 0, before);
        }
        Qemu.img("snapshot", "-c", "one", image);
        byte[] after = before.clone();
        try (BlockImage ours = Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            Bytes.write(ours, 1000, Bytes.of(1, 2 * MIB));
            Arrays.fill(after, 1000, 1000 + 2 * MIB, (byte) 1);
            ours.discard(3 * MIB, MIB);
            Arrays.fill(after, 3 * MIB, 4 * MIB, (byte) 0);
            ours.writeZeroes(4 * MIB, MIB, false);
            Arrays.fill(after, 4 * MIB, 5 * MIB, (byte) 0);
            assertArrayEquals(after, Bytes.read(ours, 0, 6 * MIB));
        }
        Qemu.assertClean(image);
        assertArrayEquals(after, Qemu.content(image, "qcow2"));
        Qemu.img("snapshot", "-a", "one", image);
        assertArrayEquals(before, Qemu.content(image, "qcow2"));
        Qemu.img("snapshot", "-d", "one", image);
        Qemu.assertClean(image);
    }

    @Test
    void largeDiskHasALargerRefcountTable() throws Exception {
        Path image = directory.resolve("image.qcow2");
        // 512 clusters are counted by the first block, 64 blocks by the first table
        Qemu.img("create", "-q", "-f", "qcow2", "-o", "cluster_size=512", image, "40M");
        byte[] content = Bytes.random(random, 20 * MIB);
        try (BlockImage ours = Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            Bytes.write(ours, 0, content);
            Bytes.write(ours, 20 * MIB, content);
            assertArrayEquals(content, Bytes.read(ours, 20 * MIB, 20 * MIB));
        }
        Qemu.assertClean(image);
        assertArrayEquals(content, Arrays.copyOf(Qemu.content(image, "qcow2"), 20 * MIB));
    }

    /// More refcount blocks change than there is room for in memory.
    @Test
    void scatteredClustersAreFreed() throws Exception {
        Path image = directory.resolve("image.qcow2");
        String options = "cluster_size=512,refcount_bits=64"; // 64 counts in a block
        Qemu.img("create", "-q", "-f", "qcow2", "-o", options, image, "20M");
        int[] order = random.ints(0, 20 * 2048).distinct().limit(20_000).toArray();
        try (BlockImage ours = Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            for (int cluster : order) {
                Bytes.write(ours, cluster * 512L, (byte) 1);
            }
            ours.discard(0, 20 * MIB);
            assertArrayEquals(new byte[20 * MIB], Bytes.read(ours, 0, 20 * MIB));
        }
        Qemu.assertClean(image);
        assertEquals(
                0, Qcow2Check.check(image, Qcow2Check.Repair.NOTHING, Progress.NONE).allocated());
    }

    @Test
    void discardGivesSpaceBack() throws Exception {
        Path image = directory.resolve("image.qcow2");
        Images.create(image, Qcow2Format.of(16 * MIB));
        try (BlockImage ours = Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            Bytes.write(ours, 0, Bytes.of(1, 16 * MIB));
            ours.flush();
            long full = allocated(image);
            ours.discard(0, 15 * MIB);
            ours.flush();
            long freed = full - allocated(image);
            // the host's file system may count a block of its own map for a file in more pieces
            assertTrue(freed > 15 * MIB - 64 * 1024 && freed <= 15 * MIB, () -> freed + " bytes");
            // and the clusters are used again
            Bytes.write(ours, 0, Bytes.of(2, 15 * MIB));
        }
        Qemu.assertClean(image);
        assertTrue(Files.size(image) < 17 * MIB, () -> "file of " + image.toFile().length());
    }

    private static long allocated(Path file) throws Exception {
        try (HostFile host = HostFile.open(file, ImageOptions.READ_ONLY.withLocked(false))) {
            return host.status().allocated();
        }
    }

    /// Half of it repeats.
    private byte[] compressible(int size) {
        var bytes = new byte[size];
        for (int i = 0; i < size; i++) {
            bytes[i] = (byte) ((i >>> 9) % 2 == 0 ? i >>> 11 : random.nextInt());
        }
        return bytes;
    }
}
