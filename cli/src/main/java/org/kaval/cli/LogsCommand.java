package org.kaval.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.kaval.cli.control.VmFolder;
import org.kaval.machine.ConfigException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `kaval logs`: what a guest has written to its console.
@Command(
        name = "logs",
        description =
                "Prints what a machine in the background has written to its console, the last 2 MiB at"
                        + " least.")
final class LogsCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();

    @Parameters(paramLabel = "NAME", description = "The machine.")
    String name = "";

    @Option(
            names = {"-f", "--follow"},
            description = "Print what follows, too, until the machine has ended.")
    boolean follow;

    @Override
    public Integer call() throws IOException, InterruptedException {
        VmFolder folder = VmFolder.existing(name);
        Path log = folder.log();
        if (!Files.exists(log)) {
            throw new ConfigException(
                    "name",
                    "'%s' has no log: it was started without --detach, or with --console"
                            .formatted(name));
        }
        // not System.out: it would encode, and it swallows errors
        var out = new FileOutputStream(FileDescriptor.out);
        LogReader.copy(log, out, () -> follow && folder.isAlive());
        return ExitStatus.OK;
    }
}
