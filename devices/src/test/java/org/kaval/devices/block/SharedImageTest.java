package org.kaval.devices.block;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.Host;
import org.kaval.linux.IoVector;

/// One image with many threads, with other processes, and on a disk that is full.
class SharedImageTest {
    private static final int MIB = 1 << 20;

    @TempDir private Path directory = Path.of("");

    /// Each thread has a part of the disk, writes it, drops it and reads it; one flushes.
    @Test
    void manyThreadsAtOnce() throws Exception {
        Path file = directory.resolve("image.qcow2");
        Images.create(file, Qcow2Format.of(4L * MIB).withClusterBits(12));
        byte[] expected = new byte[4 * MIB];
        try (BlockImage image = Images.open(file, ImageFormat.QCOW2, ImageOptions.WRITABLE);
                ExecutorService threads = Executors.newFixedThreadPool(5)) {
            var tasks = new ArrayList<Callable<Void>>();
            for (int part = 0; part < 4; part++) {
                int begin = part * MIB;
                tasks.add(() -> use(image, expected, begin));
            }
            tasks.add(() -> flush(image));
            for (Future<Void> done : threads.invokeAll(tasks)) {
                done.get();
            }
        }
        Qemu.assertClean(file);
        assertArrayEquals(expected, Qemu.content(file, "qcow2"));
    }

    private static Void flush(BlockImage image) throws IOException {
        for (int i = 0; i < 60; i++) {
            image.flush();
        }
        return null;
    }

    private static Void use(BlockImage image, byte[] model, int begin) throws IOException {
        var random = RandomGeneratorFactory.of("L64X128MixRandom").create(begin);
        for (int i = 0; i < 300; i++) {
            int offset = begin + random.nextInt(MIB - 40_000);
            int length = 1 + random.nextInt(40_000);
            byte[] there = Arrays.copyOfRange(model, offset, offset + length);
            assertArrayEquals(there, Bytes.read(image, offset, length));
            if (i % 3 == 0) {
                image.writeZeroes(offset, length, true);
                Arrays.fill(model, offset, offset + length, (byte) 0);
            } else {
                byte[] bytes = Bytes.random(random, length);
                Bytes.write(image, offset, bytes);
                System.arraycopy(bytes, 0, model, offset, length);
            }
        }
        return null;
    }

    @Test
    void nothingIsAllocatedOnClustersThatAreThere() throws Exception {
        Path raw = Files.write(directory.resolve("raw"), new byte[4 * MIB]);
        Path file = directory.resolve("image.qcow2");
        Images.create(file, Qcow2Format.of(4L * MIB));
        try (BlockImage image = Images.open(file, ImageFormat.QCOW2, ImageOptions.WRITABLE);
                BlockImage flat = RawImage.open(raw, ImageOptions.WRITABLE)) {
            Bytes.write(image, 0, Bytes.of(1, 4 * MIB));
            image.flush();
            assertEquals(0, allocatedBytes(image));
            assertEquals(0, allocatedBytes(flat));
        }
    }

    private static long allocatedBytes(BlockImage image) {
        MemorySegment memory = Arena.global().allocate(8192, 4096);
        var vector = new IoVector(2);
        vector.add(memory, 4096, 4096);
        vector.add(memory, 0, 4096);
        return Host.allocatedBytes(() -> {
            try {
                image.read(40_960, vector);
                image.write(2 * MIB - 4096, vector);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }

    @Test
    void imageThatAnotherProcessWritesIsRefused() throws Exception {
        Path file = directory.resolve("image.qcow2");
        Images.create(file, Qcow2Format.of(MIB));
        Process writer =
                new ProcessBuilder("qemu-io", "-f", "qcow2", file.toString())
                        .redirectErrorStream(true)
                        .start();
        try {
            writer.getOutputStream().write("read 0 512\n".getBytes(US_ASCII));
            writer.getOutputStream().flush();
            assertTrue(writer.inputReader().readLine().contains("read 512"));
            var refused =
                    assertThrows(
                            IOException.class,
                            () ->
                                    Images.open(file, ImageFormat.QCOW2, ImageOptions.READ_ONLY)
                                            .close());
            assertEquals(
                    file + ": in use for writing; it can be read when that has ended",
                    refused.getMessage());
        } finally {
            writer.destroy();
            writer.waitFor();
        }
        Images.open(file, ImageFormat.QCOW2, ImageOptions.WRITABLE).close();
    }

    @Test
    void otherProcessesDoNotWriteWhatIsOpenHere() throws Exception {
        Path file = directory.resolve("image.qcow2");
        Images.create(file, Qcow2Format.of(MIB));
        BlockImage first = Images.open(file, ImageFormat.QCOW2, ImageOptions.WRITABLE);
        try (first) {
            Qemu.Run run = Qemu.run("qemu-io", "-f", "qcow2", "-c", "read 0 512", file);
            assertEquals(1, run.status());
            assertTrue(run.output().contains("lock"), run.output());
        }
        BlockImage second = Images.open(file, ImageFormat.QCOW2, ImageOptions.READ_ONLY);
        try (second) {
            Qemu.Run run = Qemu.run("qemu-io", "-f", "qcow2", "-c", "write 0 512", file);
            assertEquals(1, run.status());
            assertEquals(
                    0, Qemu.run("qemu-io", "-r", "-f", "qcow2", "-c", "read 0 512", file).status());
        }
    }

    @Test
    void fullDiskLeavesTheImageWhole() throws Exception {
        var file = new MemoryFile();
        Qcow2Format.of(4L * MIB).withClusterBits(12).write(file);
        byte[] before = Bytes.of(3, MIB);
        Qcow2Image image = Qcow2Image.over(file, ImageOptions.WRITABLE, null);
        try (image) {
            Bytes.write(image, 0, before);
            image.flush();
            file.limit(file.size() + 8000);
            var full =
                    assertThrows(
                            IOException.class, () -> Bytes.write(image, MIB, Bytes.of(4, MIB)));
            assertEquals("pwritev on memory: ENOSPC", full.getMessage());
            assertArrayEquals(before, Bytes.read(image, 0, MIB));
            file.limit(Long.MAX_VALUE);
            Bytes.write(image, 2 * MIB, Bytes.of(5, MIB));
        }
        assertTrue(Qcow2Check.check(file, Qcow2Check.Repair.NOTHING, Progress.NONE).isClean());
        try (Qcow2Image again =
                Qcow2Image.over(new MemoryFile(file.content()), ImageOptions.READ_ONLY, null)) {
            assertArrayEquals(before, Bytes.read(again, 0, MIB));
            assertArrayEquals(Bytes.of(5, MIB), Bytes.read(again, 2 * MIB, MIB));
        }
    }

    /// The kernel's own refusal: this process may not make files larger than 24 MiB for a while.
    @Test
    void fileThatCannotGrowLeavesTheImageWhole() throws Exception {
        Path file = directory.resolve("image.qcow2");
        Images.create(file, Qcow2Format.of(64L * MIB));
        try (BlockImage image = Images.open(file, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            Bytes.write(image, 0, Bytes.of(1, 16 * MIB));
            limitFileSize(24L * MIB);
            try {
                var full =
                        assertThrows(
                                IOException.class,
                                () -> Bytes.write(image, 16 * MIB, Bytes.of(2, 16 * MIB)));
                assertEquals("pwritev on " + file + ": EFBIG", full.getMessage());
                image.flush();
            } finally {
                limitFileSize(-1);
            }
            assertArrayEquals(Bytes.of(1, 16 * MIB), Bytes.read(image, 0, 16 * MIB));
        }
        Qemu.assertClean(file);
    }

    private static void limitFileSize(long bytes) throws Exception {
        Qemu.Run run =
                Qemu.run(
                        "prlimit",
                        "--pid",
                        ProcessHandle.current().pid(),
                        "--fsize=" + (bytes < 0 ? "unlimited" : Long.toString(bytes)) + ":");
        assertEquals(0, run.status(), run::output);
    }
}
