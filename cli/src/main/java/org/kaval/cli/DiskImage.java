package org.kaval.cli;

import java.io.IOException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.block.ImageFormat;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// The image that a command is about.
final class DiskImage {
    @Parameters(index = "0", paramLabel = "FILE", description = "The image.")
    Path path = Path.of("");

    @Option(
            names = {"-f", "--format"},
            paramLabel = "raw|qcow2",
            description = "Its format. Default: qcow2 if its name ends in .qcow2, else raw.")
    @Nullable ImageFormat format;

    ImageFormat format() throws IOException {
        return format == null ? ImageFormat.byName(path) : format;
    }

    /// Refuses what is not qcow2.
    void requireQcow2(String command) throws IOException {
        if (format() != ImageFormat.QCOW2) {
            throw new IOException(
                    "%s: '%s' is for qcow2 images; say --format qcow2 if it is one"
                            .formatted(path, command));
        }
    }
}
