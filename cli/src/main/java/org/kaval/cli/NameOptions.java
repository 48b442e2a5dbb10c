package org.kaval.cli;

import static org.kaval.cli.CommonOptions.flag;

import java.io.IOException;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.NamedVm;
import org.kaval.machine.ConfigException;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/// A name for the machine of `kaval run`, by which other commands know it.
final class NameOptions {
    private final OptionSpec name =
            OptionSpec.builder("--name")
                    .paramLabel("NAME")
                    .type(String.class)
                    .description(
                            "Give the machine a name, by which `kaval ps`, `stop`, `stats` and others know it.")
                    .build();

    private final OptionSpec detach =
            flag("-d", "--detach")
                    .description(
                            "Run it in the background, and return when it runs: with --name. Its console"
                                    + " is for `kaval console` and `kaval logs`, unless --console leads it"
                                    + " elsewhere.")
                    .build();

    /// Said by `--detach` to the process that it starts.
    private final OptionSpec background = flag(BACKGROUND).hidden(true).build();

    static final String BACKGROUND = "--in-background";

    /// To be mixed into a command.
    CommandSpec mixin() {
        return CommandSpec.create().addOption(name).addOption(detach).addOption(background);
    }

    @Nullable String name() {
        return name.getValue();
    }

    /// Whether another process is to run it.
    boolean isDetached() {
        boolean wanted = detach.getValue();
        if (wanted && name() == null) {
            throw new ConfigException("detach", "goes with --name");
        }
        return wanted;
    }

    /// Whether this process was started for it.
    boolean isBackground() {
        return background.getValue();
    }

    /// Takes the name; null if there is none.
    ///
    /// @param command what follows `kaval`
    @Nullable NamedVm open(List<String> command) throws IOException {
        String chosen = name();
        return chosen == null ? null : NamedVm.open(chosen, command, isBackground());
    }
}
