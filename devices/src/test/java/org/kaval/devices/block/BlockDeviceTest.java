package org.kaval.devices.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Images that are block devices: loop devices, which root can make. Of hardware virtualization it
/// needs nothing, but in the nested host everybody is root. Where these tests run in place, it is
/// for root only.
@NeedsHardwareVirtualization
class BlockDeviceTest {
    private static final int MIB = 1 << 20;
    private static final int SIZE = 4 * MIB;

    @TempDir private Path directory = Path.of("");

    private Path file = Path.of("");
    private Path device = Path.of("");

    @BeforeEach
    void make() throws Exception {
        Object user = Files.getAttribute(Path.of("/proc/self"), "unix:uid");
        assumeTrue(user.equals(0), "loop devices are root's");
        file = Files.write(directory.resolve("file"), Bytes.of(7, SIZE));
        device = Path.of(run("losetup", "-f"));
        run("losetup", device.toString(), file.toString());
    }

    @AfterEach
    void free() throws Exception {
        if (!device.toString().isEmpty()) {
            run("losetup", "-d", device.toString());
        }
    }

    private static String run(String... command) throws Exception {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        byte[] output = process.getInputStream().readAllBytes();
        String said = new String(output, StandardCharsets.UTF_8).strip();
        assertEquals(0, process.waitFor(), () -> String.join(" ", command) + ": " + said);
        return said;
    }

    private static long allocated(Path path) throws IOException {
        return ImageInfo.of(path, ImageFormat.RAW).allocated();
    }

    @ParameterizedTest
    @EnumSource
    void isReadAndWritten(ImageOptions.Cache cache) throws Exception {
        byte[] expected = Bytes.of(7, SIZE);
        Arrays.fill(expected, MIB + 300, MIB + 9000, (byte) 1);
        Arrays.fill(expected, 2 * MIB, 3 * MIB, (byte) 0);
        try (RawImage image = RawImage.open(device, ImageOptions.WRITABLE.withCache(cache))) {
            assertEquals(SIZE, image.size());
            Bytes.write(image, MIB + 300, Bytes.of(1, 8700));
            image.writeZeroes(2 * MIB, MIB, false);
            image.flush();
            assertArrayEquals(expected, Bytes.read(image, 0, SIZE));
        }
        run("sync");
        assertArrayEquals(expected, Files.readAllBytes(file));
    }

    @Test
    void whatIsDiscardedGoesBackToTheHost() throws Exception {
        long before = allocated(file);
        try (RawImage image = RawImage.open(device, ImageOptions.WRITABLE)) {
            image.discard(MIB, 2 * MIB);
            assertArrayEquals(Bytes.of(0, 2 * MIB), Bytes.read(image, MIB, 2 * MIB));
            assertArrayEquals(Bytes.of(7, MIB), Bytes.read(image, 0, MIB));
        }
        assertTrue(allocated(file) <= before - 2 * MIB, () -> "of " + before);
    }

    @Test
    void hasTheSizeThatItHas() throws Exception {
        try (RawImage image = RawImage.open(device, ImageOptions.WRITABLE)) {
            IOException refused = assertThrows(IOException.class, () -> image.resize(SIZE + 512));
            assertEquals(
                    "%s: %d bytes are more than the %d of the block device"
                            .formatted(device, SIZE + 512, SIZE),
                    refused.getMessage());
            IOException used =
                    assertThrows(
                            IOException.class,
                            () -> RawImage.open(device, ImageOptions.READ_ONLY).close());
            assertTrue(String.valueOf(used.getMessage()).contains("in use"), used.getMessage());
        }
        ImageInfo info = ImageInfo.of(device, ImageFormat.RAW);
        assertEquals(SIZE, info.size());
        assertTrue(info.blockDevice());
        assertEquals(0, info.allocated());
    }
}
