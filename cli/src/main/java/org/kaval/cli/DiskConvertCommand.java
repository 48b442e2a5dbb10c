package org.kaval.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.block.BlockImage;
import org.kaval.devices.block.ImageFormat;
import org.kaval.devices.block.ImageOperations;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.block.Images;
import org.kaval.devices.block.Progress;
import org.kaval.devices.block.Qcow2Format;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `kaval disk convert`: a copy in another format.
@Command(
        name = "convert",
        description = "Copies an image, with those below it, to a file that does not exist.")
final class DiskConvertCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();
    @Mixin DiskImage image = new DiskImage();
    @Spec CommandSpec spec = CommandSpec.create();

    @Parameters(index = "1", paramLabel = "TO", description = "The new file.")
    Path target = Path.of("");

    @Option(
            names = {"-O", "--to-format"},
            paramLabel = "raw|qcow2",
            description = "The format of the new image. Default: by its name, as --format.")
    @Nullable ImageFormat targetFormat;

    @Option(
            names = "--cluster-size",
            paramLabel = "SIZE",
            converter = ByteSize.Converter.class,
            defaultValue = "64K",
            description = "Of a new qcow2 image, 512 to 2M. Default: ${DEFAULT-VALUE}.")
    ByteSize clusterSize = new ByteSize(0);

    @Option(
            names = "--compress",
            description =
                    "Compress a new qcow2 image with zlib; what is written to it later is not.")
    boolean compress;

    @Override
    public Integer call() throws IOException {
        boolean qcow2 =
                targetFormat == null
                        ? target.toString().endsWith(".qcow2")
                        : targetFormat == ImageFormat.QCOW2;
        if (compress && !qcow2) {
            throw new ParameterException(
                    spec.commandLine(), "--compress: raw images cannot be compressed");
        }
        try (BlockImage from = Images.open(image.path, image.format(), ImageOptions.READ_ONLY)) {
            Progress progress = ProgressBar.onTerminal(spec.commandLine().getErr());
            if (compress) {
                ImageOperations.compress(from, target, format(from.size()), progress);
            } else {
                ImageOperations.convert(from, target, qcow2 ? format(from.size()) : null, progress);
            }
        }
        return ExitStatus.OK;
    }

    private Qcow2Format format(long size) {
        try {
            return Qcow2Format.of(size)
                    .withClusterBits(DiskCreateCommand.clusterBits(spec, clusterSize));
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
        }
    }
}
