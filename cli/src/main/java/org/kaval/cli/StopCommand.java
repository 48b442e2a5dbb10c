package org.kaval.cli;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.ControlClient;
import org.kaval.cli.control.VmFolder;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `kaval stop`: named machines are shut down.
@Command(
        name = "stop",
        description = "Presses machines' power buttons, and waits until they have ended.")
final class StopCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();

    @Parameters(arity = "1..*", paramLabel = "NAME", description = "The machines.")
    List<String> names = List.of();

    @Option(
            names = "--grace",
            paramLabel = "SECONDS",
            description =
                    "How long a guest may take before it is stopped; 0 for not at all. Default: as"
                            + " the machine was started.")
    @Nullable Double grace;

    @Override
    public Integer call() throws IOException, InterruptedException {
        for (String name : names) {
            ControlClient.of(name)
                    .post(
                            "/v1/vm/shut-down",
                            grace == null ? Map.of() : Map.of("graceSeconds", grace));
        }
        for (String name : names) {
            WaitCommand.await(VmFolder.existing(name));
        }
        return ExitStatus.OK;
    }
}
