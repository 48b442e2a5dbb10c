package org.kaval.cli;

import java.io.IOException;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.ControlClient;
import org.kaval.cli.control.Fields;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;

/// `kaval balloon`: how much memory a guest gives up.
@Command(
        name = "balloon",
        description = {
            "Asks the guest of a machine that was started with --balloon to give up so much memory.",
            "Without a size, says how much it was asked for, and how much it has given up."
        })
final class BalloonCommand implements Callable<Integer> {
    private static final String PATH = "/v1/vm/balloon";

    @Mixin CommandSpec common = CommonOptions.mixin();

    @Parameters(index = "0", paramLabel = "NAME", description = "The machine.")
    String name = "";

    @Parameters(
            index = "1",
            arity = "0..1",
            paramLabel = "SIZE",
            converter = ByteSize.Converter.class,
            description = "In all, as 512M; 0 to have it all back.")
    @Nullable ByteSize size;

    @Override
    public Integer call() throws IOException, InterruptedException {
        ControlClient client = ControlClient.of(name);
        if (size != null) {
            client.put(PATH, Map.of("target", size.bytes()));
        } else {
            Fields balloon = client.get(PATH);
            System.out.printf(
                    "asked for %d bytes, has given up %d%n",
                    balloon.integer("target"), balloon.integer("size"));
        }
        return ExitStatus.OK;
    }
}
