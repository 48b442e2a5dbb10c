package org.kaval.cli.control;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// What snapshot is wanted of a machine.
///
/// @param directory where it goes; an absolute path
/// @param live whether memory is copied while the guest runs
/// @param disks whether it has copies of the disks
/// @param base the folder of the snapshot that it lies over, an absolute path; null for none
public record SnapshotWish(Path directory, boolean live, boolean disks, @Nullable Path base) {}
