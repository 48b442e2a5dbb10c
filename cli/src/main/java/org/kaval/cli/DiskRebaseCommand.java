package org.kaval.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.block.ImageFormat;
import org.kaval.devices.block.ImageOperations;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `kaval disk rebase`: another image below.
@Command(
        name = "rebase",
        description = {
            "Puts a qcow2 image over another one, or over none.",
            "The disk stays what it is: the image takes what differs."
        })
final class DiskRebaseCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();
    @Mixin DiskImage image = new DiskImage();
    @Spec CommandSpec spec = CommandSpec.create();

    @Option(
            names = {"-b", "--backing"},
            paramLabel = "FILE",
            description =
                    "The image below, as this one is to name it: from its own folder. Default: none,"
                            + " the image then has all of the disk.")
    @Nullable String backing;

    @Option(
            names = {"-F", "--backing-format"},
            paramLabel = "raw|qcow2",
            description = "The format of the image below. Default: by its name, as --format.")
    @Nullable ImageFormat backingFormat;

    @Option(
            names = {"-u", "--unsafe"},
            description =
                    "Only change the name: for an image below that was moved, or whose format is"
                            + " missing.")
    boolean unsafe;

    @Override
    public Integer call() throws IOException {
        image.requireQcow2("kaval disk rebase");
        ImageFormat format = backing == null ? null : format(image.path.resolveSibling(backing));
        if (unsafe) {
            ImageOperations.rename(image.path, backing, format);
        } else {
            ImageOperations.rebase(
                    image.path,
                    backing,
                    format,
                    ProgressBar.onTerminal(spec.commandLine().getErr()));
        }
        return ExitStatus.OK;
    }

    private ImageFormat format(Path path) throws IOException {
        return backingFormat == null ? ImageFormat.byName(path) : backingFormat;
    }
}
