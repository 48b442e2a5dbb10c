package org.kaval.cli;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/// What every command understands.
final class CommonOptions {
    private CommonOptions() {}

    /// To be mixed into a command.
    static CommandSpec mixin() {
        return CommandSpec.create()
                .addOption(
                        OptionSpec.builder("-h", "--help")
                                .usageHelp(true)
                                .description("Show this help and exit.")
                                .build())
                .addOption(
                        flag("--debug").description("Show the stack trace of an error.").build());
    }

    /// Begins an option that has no value of its own and is false if it is not there.
    static OptionSpec.Builder flag(String... names) {
        return OptionSpec.builder(names).arity("0").type(boolean.class).initialValue(false);
    }
}
