package org.kaval.devices.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Some 10,000 operations by chance on images of several kinds, against an array of bytes; QEMU
/// looks at the image every now and then, and makes and drops snapshots of it.
class Qcow2RandomTest {
    private static final int MOST = 4 << 20;

    @TempDir private Path directory = Path.of("");

    private Path file = Path.of("");
    private RandomGenerator random = RandomGenerator.getDefault();
    private byte[] model = {};
    private int snapshots;

    @ParameterizedTest
    @CsvSource({
        "1, '', 2500",
        "7, 'cluster_size=2k', 1000",
        "2, 'cluster_size=512,refcount_bits=8', 2500",
        "3, 'compat=0.10,cluster_size=4096', 2000",
        "4, 'cluster_size=4096,refcount_bits=2,backing_file=base,backing_fmt=raw', 2000",
        "5, 'compat=0.10,backing_file=base,backing_fmt=raw', 1000",
        "6, 'cluster_size=1k,refcount_bits=64,backing_file=base,backing_fmt=raw', 2000",
    })
    void sameAsAnArray(long seed, String options, int operations) throws Exception {
        random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        byte[] base = Bytes.random(random, 1 << 20);
        Files.write(directory.resolve("base"), base);
        file = directory.resolve("image");
        String all = options.isEmpty() ? "cluster_size=64k" : options;
        Qemu.img("create", "-q", "-f", "qcow2", "-o", all, file, "2M");
        model = new byte[2 << 20];
        if (options.contains("backing")) {
            System.arraycopy(base, 0, model, 0, base.length);
        }
        int done = 0;
        while (done < operations) {
            int some = Math.min(200 + random.nextInt(200), operations - done);
            try (BlockImage image = Images.open(file, ImageFormat.QCOW2, options(seed))) {
                for (int i = 0; i < some; i++) {
                    operate(image, "seed %d operation %d".formatted(seed, done + i));
                }
            }
            done += some;
            Qemu.assertClean(file);
            assertArrayEquals(model, Qemu.content(file, "qcow2"));
            changeSnapshots(options);
        }
        assertArrayEquals(base, Files.readAllBytes(directory.resolve("base")));
    }

    private static ImageOptions options(long seed) {
        return seed == 7
                ? ImageOptions.WRITABLE.withCache(ImageOptions.Cache.NONE)
                : ImageOptions.WRITABLE;
    }

    private void operate(BlockImage image, String which) throws IOException {
        int what = random.nextInt(100);
        int offset = random.nextInt(model.length);
        int length = Math.min(1 + random.nextInt(1 << random.nextInt(18)), model.length - offset);
        if (what < 45) {
            byte[] bytes = Bytes.random(random, length);
            Bytes.write(image, offset, bytes);
            System.arraycopy(bytes, 0, model, offset, length);
        } else if (what < 75) {
            assertArrayEquals(
                    Arrays.copyOfRange(model, offset, offset + length),
                    Bytes.read(image, offset, length),
                    which);
        } else if (what < 85) {
            image.discard(offset, length);
            acceptDiscard(Bytes.read(image, offset, length), offset, which);
        } else if (what < 93) {
            image.writeZeroes(offset, length, what % 2 == 0);
            Arrays.fill(model, offset, offset + length, (byte) 0);
        } else if (what < 98) {
            image.flush();
        } else if (snapshots == 0) {
            resize(image, Math.max(512, random.nextInt(MOST / 512) * 512));
        }
    }

    /// What was discarded is what it was, or zeroes.
    private void acceptDiscard(byte[] now, int offset, String which) {
        for (int i = 0; i < now.length; i++) {
            assertTrue(now[i] == 0 || now[i] == model[offset + i], which);
            model[offset + i] = now[i];
        }
    }

    private void resize(BlockImage image, int size) throws IOException {
        image.resize(size);
        model = Arrays.copyOf(model, size);
    }

    private void changeSnapshots(String options) throws Exception {
        if (snapshots > 0 && random.nextBoolean()) {
            Qemu.img("snapshot", "-d", "s" + snapshots--, file);
        } else if (snapshots < 2 && !options.contains("refcount_bits=1")) {
            Qemu.img("snapshot", "-c", "s" + ++snapshots, file);
        }
    }
}
