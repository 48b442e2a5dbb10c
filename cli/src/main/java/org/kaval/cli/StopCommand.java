package org.kaval.cli;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `kaval stop`: named machines are shut down.
@Command(
        name = "stop",
        description = "Presses machines' power buttons, and waits until they have ended.")
final class StopCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();

    @Spec CommandSpec spec = CommandSpec.create();

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
        Map<String, Object> body = grace == null ? Map.of() : Map.of("graceSeconds", grace);
        return EachMachine.end(spec.commandLine(), names, "/v1/vm/shut-down", body);
    }
}
