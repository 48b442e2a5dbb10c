package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.block.BlockImage;
import org.kaval.devices.block.CopyableImage;
import org.kaval.devices.block.ImageFormat;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.block.Images;
import org.kaval.devices.block.RawImage;
import org.kaval.machine.CountingGuest.Ahead;
import org.kaval.machine.CountingGuest.Tick;
import org.kaval.machine.snapshot.Snapshot;
import org.kaval.machine.snapshot.SnapshotOptions;
import org.kaval.testing.Effort;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Debian's unmodified kernel with four vCPUs counts, and writes to its disk and reads again, while
/// a live snapshot is made of both; several copies go on from there at once.
@NeedsHardwareVirtualization
@NeedsFiles(value = SnapshotGuests.FOLDER, madeBy = SnapshotGuests.class)
@Timeout(value = 120, unit = TimeUnit.MINUTES) // with full effort where all is emulated
class LinuxCloneTest {
    private static final String DISK = "disk";
    private static final int CLONES = Effort.amount(8, 2);

    @TempDir private Path directory = Path.of("");

    private CountingGuest restore(Snapshot snapshot) throws IOException {
        Path copy = snapshot.disks().getOrDefault(DISK, directory);
        BlockImage below = Images.open(copy, ImageFormat.QCOW2, ImageOptions.READ_ONLY);
        return CountingGuest.restore(snapshot, Images.overlay(below, directory), new Transcript());
    }

    /// What the copy has counted follows what the original had when the snapshot was made: between
    /// `before` and now.
    private static void assertFollows(CountingGuest clone, Tick before, List<Tick> original) {
        Tick first = clone.ticks().getFirst();
        assertTrue(first.number() > before.number(), first + ", before " + before);
        assertTrue(first.number() <= original.getLast().number() + 1, first.toString());
        Tick last = original.get(first.number() - 2);
        assertTrue(first.time() >= last.time(), first + ", before " + last);
    }

    @Test
    void clonesOfALiveSnapshotGoOnEachWithItsDiskAndGeneration() throws Exception {
        Path disk = Files.write(directory.resolve("disk.img"), new byte[4 << 20]);
        Path folder = directory.resolve("snapshot");
        var generations = new HashSet<String>();
        Ahead ahead;
        Tick before;
        List<Tick> original;
        var image = CopyableImage.of(RawImage.open(disk, ImageOptions.WRITABLE));
        try (var guest = CountingGuest.boot(image, new Transcript())) {
            guest.awaitTicks();
            ahead = guest.clock();
            generations.add(guest.ask("generation"));
            assertEquals("original", guest.ask("mark original"));
            before = guest.ticks().getLast();
            guest.vm()
                    .snapshot(
                            folder,
                            SnapshotOptions.DEFAULT.withLive(true).withDisks(Map.of(DISK, image)));
            guest.awaitTicks();
            assertEquals("later", guest.ask("mark later"));
            original = guest.ticks();
            guest.end();
        }
        Snapshot snapshot = Snapshot.read(folder);
        var clones = new ArrayList<CountingGuest>();
        try {
            for (int i = 0; i < CLONES; i++) {
                clones.add(restore(snapshot));
            }
            for (CountingGuest clone : clones) {
                clone.clock().assertStill(ahead);
                assertEquals("original", clone.ask("marked"));
                assertEquals(
                        "clone " + generations.size(),
                        clone.ask("mark clone " + generations.size()));
                generations.add(clone.ask("generation"));
            }
            assertEquals(1 + CLONES, generations.size());
            for (int i = 0; i < CLONES; i++) {
                CountingGuest clone = clones.get(i);
                assertEquals("clone " + (i + 1), clone.ask("marked"));
                clone.awaitTicks();
                clone.end();
                assertFollows(clone, before, original);
            }
        } finally {
            clones.forEach(CountingGuest::close);
        }
        snapshot.checkDisks();
    }
}
