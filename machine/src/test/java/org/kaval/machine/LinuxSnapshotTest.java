package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.block.RawImage;
import org.kaval.machine.snapshot.Snapshot;
import org.kaval.testing.Effort;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Debian's unmodified kernel with four vCPUs counts, and writes to its disk and reads again, while
/// it is paused, and snapshotted and restored, over and over.
@NeedsHardwareVirtualization
@NeedsFiles(value = SnapshotGuests.FOLDER, madeBy = SnapshotGuests.class)
@Timeout(value = 120, unit = TimeUnit.MINUTES) // with full effort where all is emulated
class LinuxSnapshotTest {
    private static final int PAUSES = Effort.times(200);

    /// Long enough for Linux to report a lockup, if it is not told of the pause.
    private static final Duration LONG_PAUSE = Duration.ofSeconds(Effort.amount(60, 0));

    private static final int ROUNDS = Effort.times(20);

    @TempDir private Path directory;

    private static CountingGuest restore(Path snapshot, Path disk, Transcript console)
            throws Exception {
        return CountingGuest.restore(
                Snapshot.read(snapshot), RawImage.open(disk, ImageOptions.WRITABLE), console);
    }

    /// The machine ends with it, and its disk stays what it is for the guest in the snapshot.
    private static void snapshot(CountingGuest guest, Path target) throws Exception {
        guest.vm().pause();
        guest.vm().snapshot(target);
        guest.vm().stop();
    }

    @Test
    void guestGoesOnAndOnAndItsClockWithTheHosts() throws Exception {
        Path disk = Files.write(directory.resolve("disk"), new byte[4 << 20]);
        Path first = directory.resolve("first");
        Path latest = directory.resolve("latest");
        var console = new Transcript();
        CountingGuest.Ahead ahead;
        try (var guest = CountingGuest.boot(RawImage.open(disk, ImageOptions.WRITABLE), console)) {
            guest.awaitTicks();
            assertEquals(1, guest.ticks().getFirst().number());
            ahead = guest.clock();
            for (int i = 0; i < PAUSES; i++) {
                guest.vm().pause();
                guest.vm().resume();
                guest.awaitTicks(1);
            }
            guest.vm().pause();
            Thread.sleep(LONG_PAUSE);
            guest.vm().resume();
            guest.awaitTicks();
            guest.clock().assertStill(ahead);
            snapshot(guest, first);
        }
        String untilFirst = console.toString();
        Path diskOfFirst = Files.copy(disk, directory.resolve("disk-of-first"));
        Path from = first;
        for (int i = 0; i < ROUNDS; i++) {
            try (CountingGuest guest = restore(from, disk, console)) {
                guest.awaitTicks();
                guest.clock().assertStill(ahead);
                snapshot(guest, latest);
            }
            from = latest;
        }
        try (CountingGuest guest = restore(from, disk, console)) {
            guest.awaitTicks();
            guest.end();
        }
        // the first one again, some time later
        var again = new Transcript();
        again.write(untilFirst.getBytes(StandardCharsets.ISO_8859_1));
        try (CountingGuest guest = restore(first, diskOfFirst, again)) {
            guest.awaitTicks();
            guest.clock().assertStill(ahead);
            guest.end();
        }
    }
}
