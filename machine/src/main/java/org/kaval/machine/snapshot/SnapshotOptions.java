package org.kaval.machine.snapshot;

import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.block.CopyableImage;

/// How a snapshot is made. {@link #DEFAULT} has the guest stand still for as long as it takes to
/// write its memory, leaves its disks out, and needs no other snapshot.
///
/// @param attributes what {@link Snapshot#attributes} will have
/// @param disks images that are copied as they are while the guest stands still, by the names that
///   {@link Snapshot#disks} will have; the guest goes on before they have been copied
/// @param live whether memory is copied while the guest runs, which stands still only for what it
///   has written last
/// @param base the folder of an earlier snapshot of such a machine: what of memory is the same
///   there is left out, and the new snapshot is of use only as long as that one is there; null for
///   none
/// @param compression of the memory
/// @param durable whether it is on the disk when it is done
public record SnapshotOptions(
        Map<String, String> attributes,
        Map<String, CopyableImage> disks,
        boolean live,
        @Nullable Path base,
        MemoryCompression compression,
        boolean durable) {
    /// Memory, vCPUs and devices.
    public static final SnapshotOptions DEFAULT =
            new SnapshotOptions(Map.of(), Map.of(), false, null, MemoryCompression.NONE, true);

    public SnapshotOptions {
        attributes = Map.copyOf(attributes);
        disks = Collections.unmodifiableMap(new LinkedHashMap<>(disks));
    }

    public SnapshotOptions withAttributes(Map<String, String> value) {
        return new SnapshotOptions(value, disks, live, base, compression, durable);
    }

    public SnapshotOptions withDisks(Map<String, CopyableImage> value) {
        return new SnapshotOptions(attributes, value, live, base, compression, durable);
    }

    public SnapshotOptions withLive(boolean value) {
        return new SnapshotOptions(attributes, disks, value, base, compression, durable);
    }

    public SnapshotOptions withBase(@Nullable Path value) {
        return new SnapshotOptions(attributes, disks, live, value, compression, durable);
    }

    public SnapshotOptions withCompression(MemoryCompression value) {
        return new SnapshotOptions(attributes, disks, live, base, value, durable);
    }

    public SnapshotOptions withDurable(boolean value) {
        return new SnapshotOptions(attributes, disks, live, base, compression, value);
    }
}
