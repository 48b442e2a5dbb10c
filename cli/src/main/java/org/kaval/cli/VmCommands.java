package org.kaval.cli;

import java.io.IOException;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.ControlClient;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/// The commands that ask a named machine for one thing and print nothing.
final class VmCommands {
    private VmCommands() {}

    static CommandSpec pause() {
        return command(
                "Stops a machine's guest between two instructions, until `kaval resume`.",
                client -> client.post("/v1/vm/pause", Map.of()));
    }

    static CommandSpec resume() {
        return command(
                "Lets a paused guest go on.", client -> client.post("/v1/vm/resume", Map.of()));
    }

    private interface Request {
        @Nullable Object ask(ControlClient client) throws IOException, InterruptedException;
    }

    private static CommandSpec command(String description, Request request) {
        PositionalParamSpec name =
                PositionalParamSpec.builder()
                        .index("0")
                        .arity("1")
                        .paramLabel("NAME")
                        .type(String.class)
                        .description("The machine.")
                        .build();
        Callable<Integer> action =
                () -> {
                    request.ask(ControlClient.of(name.getValue()));
                    return ExitStatus.OK;
                };
        CommandSpec spec =
                CommandSpec.wrapWithoutInspection(action)
                        .addMixin("common", CommonOptions.mixin())
                        .addPositional(name);
        spec.usageMessage().description(description);
        return spec;
    }
}
