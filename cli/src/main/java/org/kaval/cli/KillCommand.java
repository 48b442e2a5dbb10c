package org.kaval.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.kaval.cli.control.ControlClient;
import org.kaval.cli.control.VmFolder;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `kaval kill`: named machines end at once.
@Command(
        name = "kill",
        description = "Ends machines at once, as if their power were cut; their disks are closed.")
final class KillCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();

    @Spec CommandSpec spec = CommandSpec.create();

    @Parameters(arity = "1..*", paramLabel = "NAME", description = "The machines.")
    List<String> names = List.of();

    @Override
    public Integer call() throws IOException, InterruptedException {
        var asked = new ArrayList<VmFolder>();
        int status =
                EachMachine.run(
                        spec.commandLine(),
                        names,
                        name -> {
                            ControlClient.of(name).end("/v1/vm/kill", Map.of());
                            asked.add(VmFolder.existing(name));
                        });
        WaitCommand.await(asked);
        return status;
    }
}
