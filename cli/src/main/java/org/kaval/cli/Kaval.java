package org.kaval.cli;

import java.io.IOException;
import java.io.InputStream;
import java.util.Properties;
import picocli.AutoComplete.GenerateCompletion;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// The command `kaval`, and where the others are registered.
@Command(
        name = "kaval",
        description = "Runs virtual machines with KVM.",
        subcommands = {
            RunCommand.class,
            DemoCommand.class,
            DoctorCommand.class,
            DiskCommand.class,
            GenerateCompletion.class
        },
        versionProvider = Kaval.Version.class,
        footer = {
            "",
            "Shell completion: source <(kaval generate-completion)",
            "Exit status: 0 done, 1 the guest crashed, 2 wrong options or files, 3 the host cannot,",
            "4 time limit, 130 stopped from the keyboard; a guest may end with a code of its own."
        })
final class Kaval implements Runnable {
    @Mixin CommonOptions common = new CommonOptions();

    @Option(
            names = {"-V", "--version"},
            versionHelp = true,
            description = "Show the version and exit.")
    boolean version;

    @Spec CommandSpec spec = CommandSpec.create();

    /// Runs one command and ends the process with its status.
    public static void main(String[] args) {
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        var errors = new Errors();
        return new CommandLine(new Kaval())
                .setExecutionExceptionHandler(errors)
                .setParameterExceptionHandler(errors)
                .setCaseInsensitiveEnumValuesAllowed(true);
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a command is missing");
    }

    /// The version that the build has written down.
    static final class Version implements IVersionProvider {
        @Override
        public String[] getVersion() throws IOException {
            var properties = new Properties();
            try (InputStream in = Kaval.class.getResourceAsStream("version.properties")) {
                properties.load(in);
            }
            return new String[] {
                "kaval %s (Java %s)".formatted(properties.get("version"), Runtime.version())
            };
        }
    }
}
