package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.testing.FileMaker;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// `kaval balloon` with Debian's unmodified cloud kernel: memory that the guest has not freed, as
/// it caches its disk there, goes back to the host, and then to the guest.
@NeedsHardwareVirtualization
@Timeout(value = 30, unit = TimeUnit.MINUTES) // where all is emulated and busy
@NeedsFiles(
        value = {"../cli/target/kaval", LinuxBalloonTest.FOLDER},
        madeBy = LinuxBalloonTest.Guest.class)
class LinuxBalloonTest {
    static final String FOLDER = "target/guests/balloon";

    private static final CommandGuest GUEST = new CommandGuest(FOLDER);
    private static final String NAME = "balloon";
    private static final long MEBIBYTE = 1 << 20;
    private static final long DISK = 300 * MEBIBYTE;

    /// What the disk leaves free is little, or a balloon would begin with that, which the host does
    /// not have to give.
    private static final String MEMORY = "384M";

    /// Of the balloon.
    private static final long MOST = 200 * MEBIBYTE;

    /// Long enough that only a hang takes it.
    private static final long LIMIT_SECONDS = 600;

    /// A kernel, and an initramfs that says when its memory is full, gone and there again.
    static final class Guest implements FileMaker {
        private static final String INIT =
                """
                available() {
                    sed -n 's/MemAvailable: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo
                }
                exec 3</dev/vda # or its cache is freed with each that closes it
                echo "ready"
                dd if=/dev/vda of=/dev/null bs=1M 2>/dev/null
                echo "disk is read"
                until [ $(available) -lt 150000 ]; do sleep 0.1; done
                echo "memory is gone"
                until [ $(available) -gt 250000 ]; do sleep 0.1; done
                echo "memory is there"
                sleep 1d
                """;

        @Override
        public void make(Path module) throws IOException, InterruptedException {
            GUEST.make(module, Map.of(), INIT, "virtio_pci", "virtio_blk", "virtio_balloon");
        }
    }

    @TempDir private Path directory;

    private NamedMachines machines() {
        return new NamedMachines(directory.resolve("run"));
    }

    private RunningCommand start() throws IOException {
        Path disk = directory.resolve("disk.img");
        try (var file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(DISK);
        }
        return machines()
                .run(
                        GUEST.arguments(
                                MEMORY,
                                "",
                                List.of(
                                        "--name",
                                        NAME,
                                        "--balloon",
                                        "on",
                                        "--disk",
                                        disk.toString())));
    }

    private void balloon(String size) throws IOException, InterruptedException {
        assertEquals("", machines().ok("balloon", NAME, size));
    }

    private static void awaitAtMost(long bytes, RunningCommand kaval) throws Exception {
        long end = System.nanoTime() + LIMIT_SECONDS * 1_000_000_000;
        for (long now = kaval.residentBytes(); now > bytes; now = kaval.residentBytes()) {
            assertTrue(System.nanoTime() < end, "has %d bytes still".formatted(now));
            Thread.sleep(10);
        }
    }

    @Test
    void memoryGoesToTheHostAndComesBack() throws Exception {
        try (RunningCommand kaval = start()) {
            kaval.awaitOutput("ready");
            kaval.awaitOutput("disk is read");
            long full = kaval.residentBytes();
            assertTrue(full > DISK, full + " bytes");

            balloon("256M");
            awaitAtMost(full - MOST, kaval);
            kaval.awaitOutput("memory is gone");

            balloon("0");
            kaval.awaitOutput("memory is there");
            kaval.signal("INT");
            assertEquals(130, kaval.awaitExit(), kaval.error());
        }
    }
}
