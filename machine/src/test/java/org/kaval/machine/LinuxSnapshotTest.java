package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
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
import org.kaval.devices.net.SocketBackend;
import org.kaval.machine.CountingGuest.Ahead;
import org.kaval.machine.CountingGuest.Tick;
import org.kaval.machine.snapshot.Snapshot;
import org.kaval.machine.snapshot.SnapshotOptions;
import org.kaval.testing.Effort;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Debian's unmodified kernel with four vCPUs counts, writes to its disk and reads again, and sends
/// over its network what another guest sends back, while it is paused, snapshotted and restored
/// over and over, and cloned.
@NeedsHardwareVirtualization
@NeedsFiles(value = SnapshotGuests.FOLDER, madeBy = SnapshotGuests.class)
@Timeout(value = 120, unit = TimeUnit.MINUTES) // with full effort where all is emulated
class LinuxSnapshotTest {
    private static final int PAUSES = Effort.times(200);

    /// Long enough for Linux to report a lockup, if it is not told of the pause.
    private static final Duration LONG_PAUSE = Duration.ofSeconds(Effort.amount(60, 0));

    private static final int ROUNDS = Effort.times(20);
    private static final int CLONES = Effort.amount(8, 2);
    private static final String DISK = "disk";

    @TempDir private Path directory = Path.of("");

    /// The guest when a live snapshot was made of it.
    ///
    /// @param ahead its clock
    /// @param ticks what it had counted soon after
    private record Original(Ahead ahead, String generation, Tick before, List<Tick> ticks) {
        /// What a copy has counted goes on from there.
        void assertFollows(List<Tick> copy) {
            Tick first = copy.getFirst();
            assertTrue(first.number() > before.number(), first + ", before " + before);
            assertTrue(first.number() <= ticks.getLast().number() + 1, first.toString());
            Tick last = ticks.get(first.number() - 2);
            assertTrue(first.time() >= last.time(), first + ", before " + last);
        }
    }

    /// One boot for all: that is what takes long where all is emulated.
    @Test
    void guestGoesOnPausedRestoredAndCloned() throws Exception {
        Path disk = Files.write(directory.resolve("disk.img"), new byte[4 << 20]);
        Path live = directory.resolve("live");
        Path first = directory.resolve("first");
        var console = new Transcript();
        Original original;
        try (Vm _ = CountingGuest.bootPeer(SocketBackend.open(cable()))) {
            var image = CopyableImage.of(RawImage.open(disk, ImageOptions.WRITABLE));
            try (var guest = CountingGuest.boot(image, SocketBackend.connect(cable()), console)) {
                guest.awaitTicks();
                assertEquals(1, guest.ticks().getFirst().number());
                Ahead ahead = guest.clock();
                pauseOften(guest);
                guest.clock().assertStill(ahead);
                original = snapshotLive(guest, image, live);
                snapshot(guest, first);
            }
            restoreOften(first, disk, console, original.ahead);
        }
        cloneAtOnce(Snapshot.read(live), original);
    }

    private Path cable() {
        return directory.resolve("cable");
    }

    private static void pauseOften(CountingGuest guest) throws Exception {
        for (int i = 0; i < PAUSES; i++) {
            guest.vm().pause();
            guest.vm().resume();
            guest.awaitTicks(1);
        }
        guest.awaitCarried();
        guest.vm().pause();
        Thread.sleep(LONG_PAUSE);
        guest.vm().resume();
        guest.awaitTicks();
        guest.awaitCarried();
    }

    private static Original snapshotLive(CountingGuest guest, CopyableImage image, Path target)
            throws Exception {
        Ahead ahead = guest.clock();
        String generation = guest.ask("generation");
        assertEquals("original", guest.ask("mark original"));
        Tick before = guest.ticks().getLast();
        guest.vm()
                .snapshot(
                        target,
                        SnapshotOptions.DEFAULT.withLive(true).withDisks(Map.of(DISK, image)));
        guest.awaitTicks();
        List<Tick> ticks = guest.ticks();
        assertEquals("later", guest.ask("mark later"));
        return new Original(ahead, generation, before, ticks);
    }

    /// The machine ends with it, and its disk stays what it is for the guest in the snapshot.
    private static void snapshot(CountingGuest guest, Path target) throws Exception {
        guest.vm().pause();
        guest.vm().snapshot(target);
        guest.vm().stop();
    }

    private void restoreOften(Path first, Path disk, Transcript console, Ahead ahead)
            throws Exception {
        Path latest = directory.resolve("latest");
        Path from = first;
        for (int i = 0; i < ROUNDS; i++) {
            try (CountingGuest guest = restore(from, disk, console)) {
                guest.awaitTicks();
                guest.clock().assertStill(ahead);
                guest.awaitCarried(); // over the connection that it has
                snapshot(guest, latest);
            }
            from = latest;
        }
        try (CountingGuest guest = restore(from, disk, console)) {
            guest.awaitTicks();
            assertEquals("later", guest.ask("marked"));
            guest.end();
        }
    }

    private CountingGuest restore(Path from, Path disk, Transcript console) throws IOException {
        BlockImage image = RawImage.open(disk, ImageOptions.WRITABLE);
        return CountingGuest.restore(
                Snapshot.read(from), image, SocketBackend.connect(cable()), console);
    }

    /// Each has a disk, a generation and a console of its own, and a network of which it is the
    /// only one.
    private void cloneAtOnce(Snapshot snapshot, Original original) throws Exception {
        var clones = new ArrayList<CountingGuest>();
        try {
            for (int i = 0; i < CLONES; i++) {
                clones.add(restoreOverCopy(snapshot));
                clones.getLast().ask("calm"); // all of them may have one processor, and emulated
            }
            Set<String> generations = new HashSet<>(Set.of(original.generation));
            for (CountingGuest clone : clones) {
                clone.clock().assertStill(original.ahead);
                assertEquals("original", clone.ask("marked"));
                String mark = "clone " + generations.size();
                assertEquals(mark, clone.ask("mark " + mark));
                generations.add(clone.ask("generation"));
            }
            assertEquals(1 + CLONES, generations.size());
            for (int i = 0; i < CLONES; i++) {
                CountingGuest clone = clones.get(i);
                assertEquals("clone " + (i + 1), clone.ask("marked"));
                clone.awaitTicks(1);
                clone.end();
                original.assertFollows(clone.ticks());
            }
        } finally {
            clones.forEach(CountingGuest::close);
        }
        snapshot.checkDisks();
    }

    private CountingGuest restoreOverCopy(Snapshot snapshot) throws IOException {
        Path copy = snapshot.disks().getOrDefault(DISK, directory);
        BlockImage below = Images.open(copy, ImageFormat.QCOW2, ImageOptions.READ_ONLY);
        Path alone = Files.createTempDirectory(directory, "clone").resolve("cable");
        return CountingGuest.restore(
                snapshot,
                Images.overlay(below, directory),
                SocketBackend.open(alone),
                new Transcript());
    }
}
