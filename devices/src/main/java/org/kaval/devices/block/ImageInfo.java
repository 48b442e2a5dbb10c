package org.kaval.devices.block;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.FileStatus;

/// What is known about an image without looking at its data.
///
/// @param size of the disk in bytes
/// @param allocated what the file takes of the host's disk, 0 if it is a block device
/// @param blockDevice whether it is one
/// @param details what only a qcow2 image has
public record ImageInfo(
        Path path,
        ImageFormat format,
        long size,
        long allocated,
        boolean blockDevice,
        Optional<Details> details) {
    /// What a qcow2 image has besides.
    ///
    /// @param backingFile as the image names it
    /// @param backingFormat as the image says it
    /// @param snapshots by their titles
    public record Details(
            int version,
            int clusterSize,
            int refcountBits,
            String compression,
            boolean lazyRefcounts,
            boolean extendedL2,
            boolean dirty,
            boolean corrupt,
            @Nullable String backingFile,
            @Nullable String backingFormat,
            List<String> snapshots) {}

    /// Looks at an image, which somebody else may be writing.
    public static ImageInfo of(Path path, ImageFormat format) throws IOException {
        ImageOptions options = ImageOptions.READ_ONLY.withLocked(false);
        try (HostFile file = HostFile.open(path, options)) {
            FileStatus status = file.status();
            long allocated = status.allocated();
            boolean device = status.kind() == FileStatus.Kind.BLOCK_DEVICE;
            if (format == ImageFormat.RAW) {
                return new ImageInfo(
                        path, format, status.size(), allocated, device, Optional.empty());
            }
            Qcow2Header header = Qcow2Header.read(file);
            return new ImageInfo(
                    path, format, header.size(), allocated, device, Optional.of(of(file, header)));
        }
    }

    private static Details of(BlockFile file, Qcow2Header header) throws IOException {
        return new Details(
                header.version(),
                header.clusterSize(),
                1 << header.refcountOrder(),
                header.compressionType() == Qcow2Header.ZSTD ? "zstd" : "zlib",
                (header.compatible() & Qcow2.LAZY_REFCOUNTS) != 0,
                header.has(Qcow2.EXTENDED_L2),
                header.has(Qcow2.DIRTY),
                header.has(Qcow2.CORRUPT),
                header.backingFile(),
                header.backingFormat().orElse(null),
                Qcow2Snapshots.read(file, header).snapshots().stream()
                        .map(Qcow2Snapshots.Snapshot::title)
                        .toList());
    }
}
