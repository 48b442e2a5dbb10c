package org.kaval.cli;

import static org.kaval.cli.CommonOptions.flag;

import java.io.IOException;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.Properties;
import java.util.SequencedMap;
import java.util.Set;
import java.util.function.Supplier;
import org.kaval.kvm.Kvm;
import org.kaval.machine.snapshot.Snapshot;
import picocli.AutoComplete.GenerateCompletion;
import picocli.CommandLine;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/// The command `kaval`, and where the others are registered. Its own options are described without
/// annotations, as {@link RunCommand}'s are.
final class Kaval implements Runnable {
    /// Commands by name, in the order in which help lists them.
    private static final SequencedMap<String, Supplier<Object>> COMMANDS = commands();

    private static final Set<String> NEED_KVM = Set.of("run", "restore", "demo");

    private final CommandSpec spec = spec();

    private Kaval() {}

    /// Runs one command and ends the process with its status.
    public static void main(String[] args) {
        String name = args.length == 0 ? "" : args[0];
        if (NEED_KVM.contains(name)) {
            Thread.ofPlatform().daemon().name("prepare").start(Kvm::prepare);
        }
        if (name.equals("restore")) {
            Thread.ofPlatform().daemon().name("prepare-snapshot").start(Snapshot::prepare);
        }
        System.exit(commandLine(name).execute(args));
    }

    /// The command line with the command `name`; with all commands if there is none of that name.
    /// To describe them all takes longer than to start a guest.
    static CommandLine commandLine(String name) {
        CommandSpec kaval = new Kaval().spec;
        Supplier<Object> only = COMMANDS.get(name);
        if (only == null) {
            COMMANDS.forEach((each, command) -> kaval.addSubcommand(each, line(command.get())));
            // for which all commands have to be there
            kaval.addSubcommand("generate-completion", line(new GenerateCompletion()));
        } else {
            kaval.addSubcommand(name, line(only.get()));
        }
        var errors = new Errors();
        return new CommandLine(kaval)
                .setExecutionExceptionHandler(errors)
                .setParameterExceptionHandler(errors)
                .setCaseInsensitiveEnumValuesAllowed(true);
    }

    private static CommandLine line(Object command) {
        return new CommandLine(command);
    }

    private static SequencedMap<String, Supplier<Object>> commands() {
        var commands = new LinkedHashMap<String, Supplier<Object>>();
        commands.put("run", () -> new RunCommand().spec());
        commands.put("restore", () -> new RestoreCommand().spec());
        commands.put("demo", DemoCommand::new);
        commands.put("doctor", DoctorCommand::new);
        commands.put("disk", DiskCommand::new);
        commands.put("ps", PsCommand::new);
        commands.put("inspect", InspectCommand::new);
        commands.put("logs", LogsCommand::new);
        commands.put("console", ConsoleCommand::new);
        commands.put("stop", StopCommand::new);
        commands.put("kill", KillCommand::new);
        commands.put("pause", VmCommands::pause);
        commands.put("resume", VmCommands::resume);
        commands.put("balloon", BalloonCommand::new);
        commands.put("snapshot", SnapshotCommand::new);
        commands.put("stats", StatsCommand::new);
        commands.put("wait", WaitCommand::new);
        commands.put("rm", RmCommand::new);
        return commands;
    }

    private CommandSpec spec() {
        CommandSpec kaval =
                CommandSpec.wrapWithoutInspection(this)
                        .name("kaval")
                        .versionProvider(new Version())
                        .addMixin("common", CommonOptions.mixin())
                        .addOption(
                                flag("-V", "--version")
                                        .versionHelp(true)
                                        .description("Show the version and exit.")
                                        .build());
        kaval.usageMessage()
                .description("Runs virtual machines with KVM.")
                .footer(
                        "",
                        "Shell completion: source <(kaval generate-completion)",
                        "Exit status: 0 done, 1 the guest crashed, 2 wrong options or files,",
                        "3 the host cannot, 4 time limit, 130 stopped from the keyboard; a guest may",
                        "end with a code of its own.");
        return kaval;
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
