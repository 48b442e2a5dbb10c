package org.kaval.cli;

import java.io.IOException;
import java.util.Map;
import java.util.concurrent.Callable;
import org.kaval.cli.control.ControlClient;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;

/// `kaval disk grow`: a larger disk for a guest that uses it.
@Command(
        name = "grow",
        description = "Makes a disk of a machine that runs larger; its guest is told.")
final class GrowDiskCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();

    @Parameters(index = "0", paramLabel = "NAME", description = "The machine.")
    String name = "";

    @Parameters(
            index = "1",
            paramLabel = "DISK",
            description = "Its disk: the id that --disk has given it, or disk0, disk1 and so on.")
    String disk = "";

    @Parameters(
            index = "2",
            paramLabel = "SIZE",
            converter = ByteSize.Converter.class,
            description = "The new size, as 512M or 20G.")
    ByteSize size = new ByteSize(0);

    @Override
    public Integer call() throws IOException, InterruptedException {
        ControlClient.of(name).put("/v1/vm/disks/" + disk, Map.of("size", size.bytes()));
        return ExitStatus.OK;
    }
}
