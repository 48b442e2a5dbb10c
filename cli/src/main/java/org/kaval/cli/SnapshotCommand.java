package org.kaval.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.ControlClient;
import org.kaval.cli.control.Fields;
import org.kaval.machine.snapshot.MemoryCompression;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `kaval snapshot`: of a machine that runs, which goes on.
@Command(
        name = "snapshot",
        description = {
            "Writes a snapshot of a machine that runs, which goes on.",
            "It has the guest's memory, processors and devices, and its disks as they were at the same"
                    + " moment: copies of what the guest can write, which are made while it goes on. An"
                    + " overlay's image below is not copied, and has to stay as it is."
        })
final class SnapshotCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();

    @Parameters(index = "0", paramLabel = "NAME", description = "The machine.")
    String name = "";

    @Parameters(
            index = "1",
            paramLabel = "DIR",
            description =
                    "The snapshot's folder; one that is there is replaced once this one is whole.")
    Path directory = Path.of("");

    @Option(
            names = "--live",
            description =
                    "Copy memory while the guest runs, which stands still only for what it has written"
                            + " last.")
    boolean live;

    @Option(
            names = "--base",
            paramLabel = "DIR",
            description =
                    "The folder of an earlier snapshot of this machine: memory that is the same there is"
                            + " left out. This one is of use as long as that one is there.")
    @Nullable Path base;

    @Option(
            names = "--compress",
            paramLabel = "none|zstd",
            description =
                    "Compress memory, once the guest goes on. It is read as a whole when it is restored,"
                            + " and not where it is touched.")
    MemoryCompression compression = MemoryCompression.NONE;

    @Option(
            names = "--no-disks",
            description =
                    "Leave out what is on the disks. They have to be what they were when it is restored.")
    boolean noDisks;

    @Override
    public Integer call() throws IOException, InterruptedException {
        var body = new LinkedHashMap<String, Object>();
        body.put("directory", directory.toAbsolutePath().normalize().toString());
        body.put("live", live);
        body.put("disks", !noDisks);
        body.put("compression", compression.text());
        if (base != null) {
            body.put("base", base.toAbsolutePath().normalize().toString());
        }
        Fields answer = ControlClient.of(name).post("/v1/vm/snapshot", body);
        System.out.printf(
                "the guest stood still for %.1f ms%n", answer.number("stillSeconds") * 1000);
        return ExitStatus.OK;
    }
}
