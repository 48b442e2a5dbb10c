package org.kaval.cli;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
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
        return EachMachine.end(spec.commandLine(), names, "/v1/vm/kill", Map.of());
    }
}
