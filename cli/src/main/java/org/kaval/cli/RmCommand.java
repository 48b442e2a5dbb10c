package org.kaval.cli;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.kaval.cli.control.ControlClient;
import org.kaval.cli.control.VmFolder;
import org.kaval.machine.ConfigException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `kaval rm`: what ended machines have left.
@Command(
        name = "rm",
        description =
                "Removes what is kept of machines that have ended: their logs and how they ended.")
final class RmCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();

    @Spec CommandSpec spec = CommandSpec.create();

    @Parameters(arity = "1..*", paramLabel = "NAME", description = "The machines.")
    List<String> names = List.of();

    @Option(
            names = {"-f", "--force"},
            description = "End those that run.")
    boolean force;

    @Override
    public Integer call() throws IOException, InterruptedException {
        return EachMachine.run(spec.commandLine(), names, this::remove);
    }

    private void remove(String name) throws IOException, InterruptedException {
        VmFolder folder = VmFolder.existing(name);
        if (folder.isAlive() && force) {
            ControlClient.of(name).end("/v1/vm/kill", Map.of());
            WaitCommand.await(List.of(folder));
        }
        if (folder.isAlive()) {
            throw new ConfigException(
                    "name", "'%s' runs; stop it first, or say --force".formatted(name));
        }
        folder.remove();
    }
}
