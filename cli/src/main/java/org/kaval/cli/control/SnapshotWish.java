package org.kaval.cli.control;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.kaval.machine.snapshot.MemoryCompression;

/// What snapshot is wanted of a machine.
///
/// @param directory where it goes; an absolute path
/// @param live whether memory is copied while the guest runs
/// @param disks whether it has copies of the disks
/// @param compression of the memory
/// @param base the folder of the snapshot that it lies over, an absolute path; null for none
public record SnapshotWish(
        Path directory,
        boolean live,
        boolean disks,
        MemoryCompression compression,
        @Nullable Path base) {}
