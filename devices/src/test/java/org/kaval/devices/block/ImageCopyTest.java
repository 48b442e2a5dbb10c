package org.kaval.devices.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.Checkpoint;

/// Copies of images that are changed meanwhile have what was there when they were begun.
class ImageCopyTest {
    private static final int SIZE = (8 << 20) + 512;
    private static final int BASE = 3 << 20;

    @TempDir private Path directory = Path.of("");

    private final RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(42);

    private Path at(String name) {
        return directory.resolve(name);
    }

    private BlockImage image(String kind) throws IOException {
        return switch (kind) {
            case "raw" -> RawImage.create(at("image.raw"), SIZE);
            case "qcow2" -> {
                Images.create(at("image.qcow2"), Qcow2Format.of(SIZE));
                yield Images.open(at("image.qcow2"), ImageFormat.QCOW2, ImageOptions.WRITABLE);
            }
            case "overlay", "overlay of what may go" -> {
                Files.write(at("base"), Bytes.random(random, BASE));
                Images.create(
                        at("top.qcow2"),
                        Qcow2Format.of(SIZE).over(at("base").toString(), ImageFormat.RAW));
                yield Images.open(at("top.qcow2"), ImageFormat.QCOW2, ImageOptions.WRITABLE);
            }
            case "throw-away" -> {
                Files.write(at("base"), Bytes.random(random, BASE));
                yield Images.overlay(RawImage.open(at("base"), ImageOptions.READ_ONLY), directory);
            }
            default -> throw new IllegalArgumentException(kind);
        };
    }

    private void change(BlockImage image) throws IOException {
        int offset = random.nextInt((int) image.size());
        int length = Math.min(1 + random.nextInt(200_000), (int) image.size() - offset);
        switch (random.nextInt(4)) {
            case 0 -> image.writeZeroes(offset, length, random.nextBoolean());
            case 1 -> image.discard(offset, length);
            default -> Bytes.write(image, offset, Bytes.random(random, length));
        }
    }

    private void change(BlockImage image, int times) throws IOException {
        for (int i = 0; i < times; i++) {
            change(image);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"raw", "qcow2", "overlay", "overlay of what may go", "throw-away"})
    void copyHasWhatWasThereWhenItWasBegun(String kind) throws Exception {
        try (var image = CopyableImage.of(image(kind))) {
            change(image, 40);
            byte[] then;
            try (ImageCopy copy =
                    image.prepareCopy(at("copy.qcow2"), _ -> kind.endsWith("may go"))) {
                change(image, 5);
                then = Bytes.read(image, 0, (int) image.size());
                copy.begin();
                change(image, 20); // before
                var begun = new CountDownLatch(1);
                var changes =
                        new FutureTask<>(() -> {
                            begun.countDown();
                            change(image, 60);
                            return true;
                        });
                Thread.ofPlatform().start(changes);
                begun.await();
                copy.finish(Checkpoint.NONE);
                assertTrue(changes.get());
                change(image, 5); // and after
            }
            Qemu.assertClean(at("copy.qcow2"));
            assertArrayEquals(then, Qemu.content(at("copy.qcow2"), "qcow2"));
            assertEquals(
                    kind.equals("overlay") || kind.equals("throw-away"),
                    Qemu.img("info", at("copy.qcow2")).contains("backing file: " + at("base")));
        }
    }

    @Test
    void imageGoesOnWhenItsCopyFails() throws Exception {
        try (var image = CopyableImage.of(image("raw"))) {
            Bytes.write(image, 0, Bytes.random(random, 1 << 20));
            var target = new MemoryFile();
            Qcow2Format.of(SIZE).write(target);
            target.limit(target.size());
            var copy =
                    new ImageCopy(
                            image,
                            Qcow2Image.over(target, ImageOptions.WRITABLE, null),
                            false,
                            _ -> {});
            copy.beforeChange(0, SIZE);

            assertThrows(IOException.class, () -> copy.finish(Checkpoint.NONE));
        }
    }

    @Test
    void oneCopyAtATime() throws Exception {
        try (var image = CopyableImage.of(image("raw"))) {
            try (ImageCopy copy = image.prepareCopy(at("one"), _ -> false);
                    ImageCopy other = image.prepareCopy(at("two"), _ -> false)) {
                assertEquals(SIZE, copy.size());
                copy.begin();
                assertThrows(IllegalStateException.class, other::begin);
            }
            try (ImageCopy copy = image.prepareCopy(at("three"), _ -> false)) {
                copy.begin();
            }
        }
    }
}
