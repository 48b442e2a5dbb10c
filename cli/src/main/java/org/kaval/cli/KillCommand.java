package org.kaval.cli;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.kaval.cli.control.ControlClient;
import org.kaval.cli.control.VmFolder;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;

/// `kaval kill`: named machines end at once.
@Command(
        name = "kill",
        description = "Ends machines at once, as if their power were cut; their disks are closed.")
final class KillCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();

    @Parameters(arity = "1..*", paramLabel = "NAME", description = "The machines.")
    List<String> names = List.of();

    @Override
    public Integer call() throws IOException, InterruptedException {
        for (String name : names) {
            ControlClient.of(name).post("/v1/vm/kill", Map.of());
        }
        for (String name : names) {
            WaitCommand.await(VmFolder.existing(name));
        }
        return ExitStatus.OK;
    }
}
