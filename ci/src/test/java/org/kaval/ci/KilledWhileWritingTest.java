package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.block.BlockImage;
import org.kaval.devices.block.ImageFormat;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.block.Images;
import org.kaval.devices.block.Qcow2Format;
import org.kaval.linux.IoVector;
import org.kaval.testing.Effort;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsKvm;

/// What a guest has flushed is in its image after `kill -9`, at whatever moment, and the image is
/// sound.
///
/// Most of the images are copies that are made while Kaval is stopped by SIGSTOP, which are what it
/// would have left if it had been killed: it takes longer to start than to write.
@NeedsKvm
@NeedsFiles(
        value = {"../cli/target/kaval", CompiledPayloads.FOLDER},
        madeBy = CompiledPayloads.class)
class KilledWhileWritingTest {
    private static final int IMAGES = Effort.times(100);
    private static final int IMAGES_OF_A_GUEST = 5;
    private static final int BLOCK = 4096;
    private static final int BLOCKS = 16 << 10;
    private static final int STRIDE = 7919; // the guest's
    private static final int MAX_LINES = 20;
    private static final int MAX_MORE_MILLIS = 10;
    private static final int KILLED = 128 + 9;

    @TempDir private Path directory;

    private final Random random = new Random(1);

    @Test
    void whatWasFlushedIsThere() throws Exception {
        long most = 0;
        Qcow2Format format = Qcow2Format.of((long) BLOCKS * BLOCK);
        for (int guest = 0; guest * IMAGES_OF_A_GUEST < IMAGES; guest++) {
            long flushed = killWhileItWrites(guest % 2 == 0 ? overBacking(format) : format);
            most = Math.max(most, flushed);
        }
        assertTrue(most > 4, "no guest came far");
    }

    /// Each write to it copies a cluster.
    private Qcow2Format overBacking(Qcow2Format format) throws IOException {
        Path backing = directory.resolve("backing");
        if (!Files.exists(backing)) {
            byte[] content = new byte[BLOCKS * BLOCK];
            random.nextBytes(content);
            Files.write(backing, content);
        }
        return format.over(backing.toString(), ImageFormat.RAW);
    }

    /// @return how many blocks are safe in the end
    private long killWhileItWrites(Qcow2Format format) throws Exception {
        Path image = directory.resolve("image.qcow2");
        Path copy = directory.resolve("copy.qcow2");
        Images.create(image, format);
        try (RunningCommand kaval = CompiledPayloads.start("flushes", image, "--mmio")) {
            for (int i = 1; i < IMAGES_OF_A_GUEST; i++) {
                awaitMore(kaval);
                kaval.stop();
                assertKept(Files.copy(image, copy), flushed(kaval));
                Files.delete(copy);
                kaval.signal("CONT");
            }
            awaitMore(kaval);
            kaval.signal("KILL");
            assertEquals(KILLED, kaval.awaitExit(), kaval.error());
            long flushed = flushed(kaval);
            assertKept(image, flushed);
            Files.delete(image);
            return flushed;
        }
    }

    private void awaitMore(RunningCommand kaval) throws InterruptedException {
        int before = (int) kaval.output().lines().count();
        kaval.awaitOutput("\n", before + 1 + random.nextInt(MAX_LINES));
        Thread.sleep(random.nextInt(MAX_MORE_MILLIS), random.nextInt(1_000_000));
    }

    /// How many blocks are safe, as the guest has said.
    private static long flushed(RunningCommand kaval) {
        String output = kaval.output();
        String lines = output.substring(0, output.lastIndexOf('\n'));
        return Long.parseLong(lines.substring(lines.lastIndexOf('\n') + 1), 16);
    }

    private static void assertKept(Path image, long flushed) throws Exception {
        SoundImages.assertSound(image);
        assertHolds(image, flushed);
    }

    private static void assertHolds(Path image, long blocks) throws IOException {
        try (BlockImage content = Images.open(image, ImageFormat.QCOW2, ImageOptions.READ_ONLY);
                Arena arena = Arena.ofConfined()) {
            MemorySegment block = arena.allocate(BLOCK);
            for (long i = 0; i < blocks; i++) {
                content.read(i * STRIDE % BLOCKS * BLOCK, IoVector.of(block));
                assertEquals(i + 1, block.get(ValueLayout.JAVA_LONG, 0));
                assertEquals(i + 1, block.get(ValueLayout.JAVA_LONG, BLOCK - Long.BYTES));
            }
        }
    }
}
