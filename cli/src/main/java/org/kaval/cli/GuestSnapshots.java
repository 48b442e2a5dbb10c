package org.kaval.cli;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.SnapshotWish;
import org.kaval.machine.ConfigException;
import org.kaval.machine.Vm;
import org.kaval.machine.VmBuilder;
import org.kaval.machine.snapshot.MemoryCompression;
import org.kaval.machine.snapshot.Snapshot;
import org.kaval.machine.snapshot.SnapshotOptions;

/// The snapshot that a guest comes from, and the folder for those that are made of it.
///
/// The snapshot of a guest that goes on has copies of its disks; that of one that ends has nothing
/// of what they hold. So once the latter is restored to go on writing them, the snapshot is used
/// up: it is marked, and refused from then on.
final class GuestSnapshots {
    /// The attribute with the options that `kaval run` had, a line each.
    static final String ARGUMENTS = "arguments";

    private static final String USED = "used";

    private final @Nullable Path directory;
    private final List<String> arguments;
    private final GuestDisks disks;
    private @Nullable Snapshot from; // until it has been restored

    /// @param directory where snapshots go; null for nowhere
    /// @param arguments what {@link #ARGUMENTS} will have
    /// @param from what is restored at first; null for nothing
    GuestSnapshots(
            @Nullable Path directory,
            List<String> arguments,
            GuestDisks disks,
            @Nullable Snapshot from) {
        this.directory = directory;
        this.arguments = List.copyOf(arguments);
        this.disks = disks;
        this.from = from;
    }

    /// Neither.
    static GuestSnapshots none() {
        return new GuestSnapshots(null, List.of(), GuestDisks.none(), null);
    }

    /// Restores the first machine, if there is something to restore; builds the others.
    Vm build(VmBuilder builder) throws IOException {
        Snapshot snapshot = from;
        from = null;
        if (snapshot == null) {
            return builder.build();
        }
        Vm vm = builder.restore(snapshot);
        boolean marked = false;
        try {
            if (snapshot.disks().isEmpty() && disks.writesImages()) {
                mark(snapshot); // or it goes on with copies, which stay as they are
            }
            marked = true;
            return vm;
        } finally {
            if (!marked) {
                vm.close();
            }
        }
    }

    /// Refuses a snapshot whose disks have gone on.
    static void checkUnused(Snapshot snapshot) {
        if (Files.exists(snapshot.directory().resolve(USED))) {
            throw new ConfigException(
                    "snapshot",
                    snapshot.directory()
                            + " was restored before, and its disks have been written since");
        }
    }

    private static void mark(Snapshot snapshot) throws IOException {
        try {
            Files.createFile(snapshot.directory().resolve(USED));
        } catch (FileAlreadyExistsException _) {
            checkUnused(snapshot);
        }
    }

    /// Writes a snapshot to where they go by default.
    ///
    /// @param ends whether the guest ends with it, and its disks stay as they are
    /// @throws ConfigException if that makes no sense; one line
    void write(Vm guest, boolean ends) throws IOException, InterruptedException {
        Path target = directory;
        if (target == null) {
            throw new ConfigException("snapshot-dir", "has to say where snapshots go");
        }
        boolean disksStay = ends && !disks.hasOverlays();
        write(guest, new SnapshotWish(target, false, !disksStay, MemoryCompression.NONE, null));
    }

    /// Writes a snapshot; the guest goes on if it runs.
    ///
    /// @return for how long the guest stood still
    Duration write(Vm guest, SnapshotWish wish) throws IOException, InterruptedException {
        Duration still =
                guest.snapshot(
                        wish.directory(),
                        SnapshotOptions.DEFAULT
                                .withAttributes(Map.of(ARGUMENTS, String.join("\n", arguments)))
                                .withDisks(wish.disks() ? disks.writable() : Map.of())
                                .withLive(wish.live())
                                .withCompression(wish.compression())
                                .withBase(wish.base()));
        Files.deleteIfExists(wish.directory().resolve(USED));
        return still;
    }

    /// Where they go, for messages.
    String place() {
        return String.valueOf(directory);
    }
}
