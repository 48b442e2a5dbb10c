package org.kaval.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.block.ImageFormat;
import org.kaval.devices.block.ImageInfo;
import org.kaval.devices.block.Images;
import org.kaval.devices.block.Qcow2Format;
import org.kaval.devices.block.RawImage;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `kaval disk create`: an empty image, or one over another.
@Command(name = "create", description = "Makes an empty image in a file that does not exist.")
final class DiskCreateCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();
    @Mixin DiskImage image = new DiskImage();
    @Spec CommandSpec spec = CommandSpec.create();

    @Parameters(
            index = "1",
            arity = "0..1",
            paramLabel = "SIZE",
            converter = ByteSize.Converter.class,
            description = "Of the disk, as 512M or 20G. Default: that of the image below.")
    @Nullable ByteSize size;

    @Option(
            names = {"-b", "--backing"},
            paramLabel = "FILE",
            description = "The image below, as the new one is to name it: from its own folder.")
    @Nullable String backing;

    @Option(
            names = {"-F", "--backing-format"},
            paramLabel = "raw|qcow2",
            description = "The format of the image below. Default: by its name, as --format.")
    @Nullable ImageFormat backingFormat;

    @Option(
            names = "--cluster-size",
            paramLabel = "SIZE",
            converter = ByteSize.Converter.class,
            defaultValue = "64K",
            description = "Of a qcow2 image, 512 to 2M. Default: ${DEFAULT-VALUE}.")
    ByteSize clusterSize = new ByteSize(0);

    @Override
    public Integer call() throws IOException {
        if (image.format == null
                ? !image.path.toString().endsWith(".qcow2")
                : image.format == ImageFormat.RAW) {
            if (backing != null) {
                throw new ParameterException(
                        spec.commandLine(), "a raw image cannot have one below; use .qcow2");
            }
            RawImage.create(image.path, sizeOver(null)).close();
        } else {
            Images.create(image.path, format());
        }
        return ExitStatus.OK;
    }

    private Qcow2Format format() throws IOException {
        ImageInfo below = below();
        try {
            Qcow2Format format =
                    Qcow2Format.of(sizeOver(below)).withClusterBits(clusterBits(spec, clusterSize));
            return below == null || backing == null ? format : format.over(backing, below.format());
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
        }
    }

    private @Nullable ImageInfo below() throws IOException {
        if (backing == null) {
            return null;
        }
        Path path = image.path.resolveSibling(backing);
        return ImageInfo.of(path, backingFormat == null ? ImageFormat.byName(path) : backingFormat);
    }

    private long sizeOver(@Nullable ImageInfo below) {
        if (size != null) {
            return size.bytes();
        }
        if (below == null) {
            throw new ParameterException(spec.commandLine(), "the size is missing");
        }
        return below.size();
    }

    static int clusterBits(CommandSpec spec, ByteSize size) {
        if (Long.bitCount(size.bytes()) != 1) {
            throw new ParameterException(
                    spec.commandLine(),
                    "a cluster size of %d bytes is no power of two".formatted(size.bytes()));
        }
        return Long.numberOfTrailingZeros(size.bytes());
    }
}
