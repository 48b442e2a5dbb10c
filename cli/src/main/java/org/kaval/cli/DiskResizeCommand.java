package org.kaval.cli;

import java.io.IOException;
import java.util.concurrent.Callable;
import org.kaval.devices.block.BlockImage;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.block.Images;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `kaval disk resize`: a larger disk, or a smaller one.
@Command(name = "resize", description = "Changes the size of the disk in an image.")
final class DiskResizeCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();
    @Mixin DiskImage image = new DiskImage();
    @Spec CommandSpec spec = CommandSpec.create();

    @Parameters(
            index = "1",
            paramLabel = "SIZE",
            converter = ByteSize.Converter.class,
            description = "The new size, as 512M or 20G.")
    ByteSize size = new ByteSize(0);

    @Option(names = "--shrink", description = "Allow a smaller size; what is behind it is lost.")
    boolean shrink;

    @Override
    public Integer call() throws IOException {
        try (BlockImage disk = Images.open(image.path, image.format(), ImageOptions.WRITABLE)) {
            if (size.bytes() < disk.size() && !shrink) {
                throw new ParameterException(
                        spec.commandLine(),
                        "%d bytes are less than the %d there are: what is behind would be lost;"
                                        .formatted(size.bytes(), disk.size())
                                + " say --shrink if you want that");
            }
            disk.resize(size.bytes());
            disk.flush();
        }
        return ExitStatus.OK;
    }
}
