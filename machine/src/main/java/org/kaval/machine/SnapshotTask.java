package org.kaval.machine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Checkpoint;
import org.kaval.devices.block.CopyableImage;
import org.kaval.devices.block.ImageCopy;
import org.kaval.kvm.Kvm;
import org.kaval.machine.boot.BootDescription;
import org.kaval.machine.snapshot.CpuFeatures;
import org.kaval.machine.snapshot.MemoryCompression;
import org.kaval.machine.snapshot.MemoryCopy;
import org.kaval.machine.snapshot.Snapshot;
import org.kaval.machine.snapshot.SnapshotException;
import org.kaval.machine.snapshot.SnapshotOptions;
import org.kaval.machine.snapshot.SnapshotWriter;
import org.kaval.memory.DirtyPages;
import org.kaval.memory.GuestMemory;
import org.kaval.vcpu.Topology;

/// A snapshot of a machine on its way into a folder.
///
/// ```
/// prepare              files for disks
/// copyWhileRunning     memory, over and over, for a live one
/// copyStill            the state, and what of memory is missing; from here on disks are copied
/// finish               the disks, and the manifest, while the guest runs again
/// ```
///
/// One thread.
final class SnapshotTask implements AutoCloseable {
    /// What is written until less is left than this takes a few milliseconds to write.
    private static final long FEW_PAGES = 512;

    /// A guest that writes as fast as the disk does not become still by itself.
    private static final int MOST_ROUNDS = 12;

    private final Machine machine;
    private final SnapshotOptions options;
    private final Checkpoint checkpoint;
    private final SnapshotWriter writer;
    private final @Nullable Snapshot base;
    private final List<DiskCopy> disks = new ArrayList<>();
    private @Nullable MemoryCopy memory;
    private boolean tracking;
    private @Nullable CpuFeatures cpu;

    private record DiskCopy(String name, Path file, ImageCopy copy) {}

    SnapshotTask(Machine machine, Path directory, SnapshotOptions options) throws IOException {
        this.machine = machine;
        this.options = options;
        Path below = options.base();
        base = below == null ? null : Snapshot.read(below);
        checkpoint =
                () -> {
                    if (machine.outcome().isDone()) {
                        throw ended(directory);
                    }
                };
        writer = SnapshotWriter.begin(directory, options.durable(), checkpoint);
    }

    static SnapshotException ended(Path directory) {
        return new SnapshotException(directory, "no snapshot, as the guest has ended meanwhile");
    }

    /// Makes what takes a while, so that the guest need not stand still for it.
    void prepare() throws IOException {
        if (options.compression() == MemoryCompression.ZSTD) {
            writer.prepareCompression();
        }
        for (Map.Entry<String, CopyableImage> disk : options.disks().entrySet()) {
            Path file = writer.newDisk();
            ImageCopy copy = disk.getValue().prepareCopy(file, SnapshotTask::isOfASnapshot);
            disks.add(new DiskCopy(disk.getKey(), file, copy));
        }
    }

    /// Copies memory while the guest runs, until little is left, if that is wanted.
    void copyWhileRunning() throws IOException {
        if (!options.live()) {
            return;
        }
        GuestMemory ram = machine.memory();
        ram.startDirtyTracking();
        tracking = true;
        MemoryCopy copy = writer.beginMemory(ram, base);
        memory = copy;
        copy.writeAll();
        long before = Long.MAX_VALUE;
        for (int round = 0; round < MOST_ROUNDS; round++) {
            DirtyPages written = ram.drainDirtyPages();
            long pages = written.count();
            copy.write(written);
            if (pages <= FEW_PAGES || pages > before / 4 * 3) {
                return;
            }
            before = pages;
        }
    }

    /// Reads the state of a machine that is held, and what is left of its memory.
    ///
    /// @throws IllegalStateException if a vCPU is stopped
    void copyStill(Kvm kvm) throws IOException, InterruptedException {
        Map<String, Object> state = SavedMachine.save(machine, kvm);
        cpu = CpuFeatures.of(SavedMachine.vcpuState(state, 0).cpuid());
        writer.writeState(state);
        GuestMemory ram = machine.memory();
        MemoryCopy copy = memory;
        if (copy != null) {
            copy.write(ram.drainDirtyPages());
        } else {
            copy = writer.beginMemory(ram, base);
            memory = copy;
            copy.writeAll();
        }
        for (DiskCopy disk : disks) {
            disk.copy.begin();
        }
    }

    /// The next snapshot in that folder takes its place.
    private static boolean isOfASnapshot(Path image) {
        return Files.exists(image.resolveSibling("manifest.json"));
    }

    /// Ends what slows the guest down.
    void endTracking() throws IOException {
        if (tracking) {
            tracking = false;
            machine.memory().stopDirtyTracking();
        }
    }

    /// Waits for all, and makes it the folder's snapshot.
    void finish(Topology topology, BootDescription boot) throws IOException {
        CpuFeatures features = cpu;
        MemoryCopy copy = memory;
        if (features == null || copy == null) {
            throw new IllegalStateException("nothing has been copied");
        }
        for (DiskCopy disk : disks) {
            disk.copy.finish(checkpoint);
            disk.copy.close();
            writer.finishDisk(disk.name, disk.file);
        }
        writer.finishMemory(copy, options.compression()); // the guest pays for disks until then
        writer.commit(topology, features, boot, options.attributes());
    }

    @Override
    public void close() throws IOException {
        try (writer) {
            MemoryCopy copy = memory;
            if (copy != null) {
                copy.close();
            }
            for (DiskCopy disk : disks) {
                disk.copy.close();
            }
        }
    }
}
