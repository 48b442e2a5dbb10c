package org.kaval.cli;

import static org.kaval.cli.CommonOptions.flag;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.NamedVm;
import org.kaval.machine.ConfigException;
import org.kaval.machine.Vm;
import org.kaval.machine.VmBuilder;
import org.kaval.machine.VmOutcome;
import org.kaval.machine.diagnosis.Diagnosis;
import org.kaval.machine.snapshot.Snapshot;
import org.kaval.machine.trace.TraceKind;
import org.kaval.memory.Backing;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/// `kaval run`: one guest, in the foreground, its first serial port on the terminal.
///
/// Its options are described by the builders of the command line library, not by annotations: a JVM
/// makes a class for each kind of annotation that is read, which takes longer than a small guest.
final class RunCommand implements Callable<Integer> {
    /// What a guest does that asks for a restart.
    enum OnReboot {
        RESTART,
        EXIT
    }

    /// What is done to a guest whose kernel panics.
    enum OnPanic {
        EXIT,
        IGNORE
    }

    private static final Duration SILENCE = Duration.ofSeconds(10);

    private final BootOptions boot = new BootOptions();
    private final DiskOptions disk = new DiskOptions();
    private final RngOption rng = new RngOption();
    private final HvcOption hvc = new HvcOption();
    private final VsockOptions vsock = new VsockOptions();
    private final PortOptions ports = new PortOptions();
    private final NetOptions net = new NetOptions();
    private final NameOptions naming = new NameOptions();
    private final BalloonOption balloon = new BalloonOption();

    private final OptionSpec cpus =
            OptionSpec.builder("--cpus")
                    .paramLabel("N|sockets=A,cores=B,threads=C")
                    .type(String.class)
                    .defaultValue("1")
                    .description(
                            "How many vCPUs, and how they are arranged. Default: ${DEFAULT-VALUE}.")
                    .build();

    private final OptionSpec memory =
            OptionSpec.builder("--memory")
                    .paramLabel("SIZE")
                    .type(ByteSize.class)
                    .converters(new ByteSize.Converter())
                    .defaultValue("1G")
                    .description(
                            "How much RAM, as 512M or 2G; the host commits what the guest touches."
                                    + " Default: ${DEFAULT-VALUE}.")
                    .build();

    private final OptionSpec hugePages =
            flag("--hugepages")
                    .description("Take the RAM from the host's pool of huge pages.")
                    .build();

    private final OptionSpec console =
            OptionSpec.builder("--console")
                    .paramLabel("tty|none|file=PATH|socket=PATH")
                    .type(String.class)
                    .defaultValue(GuestConsole.TTY)
                    .description(
                            "Where the first serial port leads: standard input and output, nowhere, the end"
                                    + " of a file, or a Unix socket. Default: ${DEFAULT-VALUE}.")
                    .build();

    private final OptionSpec onReboot =
            OptionSpec.builder("--on-reboot")
                    .paramLabel("restart|exit")
                    .type(OnReboot.class)
                    .defaultValue("restart")
                    .description(
                            "What happens when the guest asks for a restart. Default: ${DEFAULT-VALUE}.")
                    .build();

    private final OptionSpec onPanic =
            OptionSpec.builder("--on-panic")
                    .paramLabel("exit|ignore")
                    .type(OnPanic.class)
                    .defaultValue("exit")
                    .description(
                            "What happens 2 s after the guest's kernel has panicked, if it has not restarted."
                                    + " Default: ${DEFAULT-VALUE}.")
                    .build();

    private final OptionSpec grace =
            OptionSpec.builder("--grace")
                    .paramLabel("SECONDS")
                    .type(double.class)
                    .defaultValue("30")
                    .description(
                            "How long the guest may take to shut down after SIGTERM. Default:"
                                    + " ${DEFAULT-VALUE}.")
                    .build();

    private final OptionSpec timeLimit =
            OptionSpec.builder("--time-limit")
                    .paramLabel("SECONDS")
                    .type(Double.class)
                    .description("Stop the machine after so long; exit status 4.")
                    .build();

    private final OptionSpec kvmDevice =
            OptionSpec.builder("--kvm")
                    .paramLabel("DEVICE")
                    .type(Path.class)
                    .defaultValue("/dev/kvm")
                    .description("Where KVM is. Default: ${DEFAULT-VALUE}.")
                    .build();

    private final OptionSpec symbols =
            OptionSpec.builder("--symbols")
                    .paramLabel("FILE")
                    .type(Path.class)
                    .description(
                            "Where the names of the guest's code are, for diagnoses: an ELF file or a"
                                    + " System.map. Default: beside the kernel, where distributions have them.")
                    .build();

    private final OptionSpec traced =
            OptionSpec.builder("--trace")
                    .paramLabel("exits|pio|mmio|pci|virtio")
                    .type(Set.class)
                    .auxiliaryTypes(TraceKind.class)
                    .initialValue(Set.of())
                    .splitRegex(",")
                    .description(
                            "Take down what the guest does to its devices, a line each: all exits, accesses"
                                    + " to ports, to memory, to PCI configuration space, what virtio devices"
                                    + " do; several with commas.")
                    .build();

    private final OptionSpec traceFile =
            OptionSpec.builder("--trace-file")
                    .paramLabel("FILE")
                    .type(Path.class)
                    .description("Where the trace goes. Default: standard error.")
                    .build();

    private final OptionSpec snapshotDirectory =
            OptionSpec.builder("--snapshot-dir")
                    .paramLabel("DIR")
                    .type(Path.class)
                    .description(
                            "Where snapshots go that are made by the keys Ctrl-] w and Ctrl-] z.")
                    .build();

    private final OptionSpec statistics =
            flag("--stats").description("Print the exits to user space when it has ended.").build();

    private final OptionSpec file =
            OptionSpec.builder("-f", FILE)
                    .paramLabel("FILE")
                    .type(Path.class)
                    .description(
                            "A YAML file with these options, without the dashes; what is given beside it"
                                    + " comes after it.")
                    .build();

    private final OptionSpec printConfig =
            flag(PRINT_CONFIG)
                    .description("Print these options as a file for -f, and run nothing.")
                    .build();

    private static final String FILE = "--file";
    private static final String PRINT_CONFIG = "--print-config";

    /// Options that a file does not have.
    private static final Set<String> NOT_IN_FILE =
            Set.of("--debug", "--detach", FILE, NameOptions.BACKGROUND, PRINT_CONFIG);

    /// Options that are not about the machine, and no part of a snapshot.
    private static final Set<String> OF_THE_SESSION =
            Set.of(
                    "--console",
                    "--debug",
                    "--detach",
                    "--ephemeral",
                    FILE,
                    "--grace",
                    NameOptions.BACKGROUND,
                    "--kvm",
                    "--name",
                    "--on-reboot",
                    "--snapshot-dir",
                    "--stats",
                    "--time-limit",
                    "--trace",
                    "--trace-file");

    private final @Nullable Snapshot restored;
    private final @Nullable List<String> original;
    private @Nullable CommandSpec commandSpec;

    private final boolean prefault;

    /// Boots a guest.
    RunCommand() {
        this(null, null, false);
    }

    /// @param restored what the guest goes on from; null to boot it
    /// @param original what follows `kaval` if that is not `run`, and what this command is given
    /// @param prefault whether the memory of a restored guest is read in the background
    RunCommand(@Nullable Snapshot restored, @Nullable List<String> original, boolean prefault) {
        this.prefault = prefault;
        this.restored = restored;
        this.original = original;
    }

    /// The command as the command line knows it.
    CommandSpec spec() {
        CommandSpec spec =
                CommandSpec.wrapWithoutInspection(this)
                        .addMixin("common", CommonOptions.mixin())
                        .addMixin("boot", boot.mixin())
                        .addMixin("disk", disk.mixin())
                        .addMixin("name", naming.mixin())
                        .addOption(rng.spec())
                        .addOption(hvc.spec())
                        .addOption(vsock.spec())
                        .addOption(ports.spec())
                        .addMixin("net", net.mixin())
                        .addOption(balloon.spec())
                        .addOption(cpus)
                        .addOption(memory)
                        .addOption(hugePages)
                        .addOption(console)
                        .addOption(onReboot)
                        .addOption(onPanic)
                        .addOption(grace)
                        .addOption(timeLimit)
                        .addOption(kvmDevice)
                        .addOption(symbols)
                        .addOption(traced)
                        .addOption(traceFile)
                        .addOption(snapshotDirectory)
                        .addOption(statistics)
                        .addOption(file)
                        .addOption(printConfig);
        commandSpec = spec;
        spec.usageMessage()
                .description(
                        "Runs a virtual machine until it ends.",
                        "Its first serial port is connected to the terminal, where Ctrl-] ? lists"
                                + " keys for Kaval.")
                .footer("", "SIGTERM presses the guest's power button; SIGINT stops it at once.");
        return spec;
    }

    /// What a file can have, by its names there.
    static SequencedMap<String, OptionSpec> fileOptions() {
        return VmFile.options(new RunCommand().spec(), NOT_IN_FILE);
    }

    /// Runs a command with other arguments than this process has.
    static int execute(RunCommand command, List<String> arguments) {
        var errors = new Errors();
        return new CommandLine(command.spec().name("kaval run"))
                .setExecutionExceptionHandler(errors)
                .setParameterExceptionHandler(errors)
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setOverwrittenOptionsAllowed(true) // by what comes last
                .execute(arguments.toArray(String[]::new));
    }

    private int runFile(Path machine) throws IOException {
        if (restored != null) {
            throw new ConfigException("file", "is for kaval run");
        }
        var arguments = new ArrayList<String>(VmFile.read(machine, fileOptions()));
        arguments.addAll(given(Set.of(FILE)));
        return execute(new RunCommand(null, arguments(), false), arguments);
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        @Nullable Path machine = file.getValue();
        if (machine != null) {
            return runFile(machine);
        }
        if (printConfig.<Boolean>getValue()) {
            System.out.print(VmFile.print(given(NOT_IN_FILE), fileOptions()));
            return ExitStatus.OK;
        }
        if (naming.isDetached()) {
            return Detached.run(String.valueOf(naming.name()), arguments());
        }
        VmBuilder builder =
                Vm.builder()
                        .kvmDevice(kvmDevice.getValue())
                        .memory(memory.<ByteSize>getValue().bytes())
                        .memoryBacking(
                                hugePages.<Boolean>getValue()
                                        ? new Backing.HugePages()
                                        : Backing.anonymous());
        CpuCount.parse(cpus.getValue()).applyTo(builder);
        @Nullable Double limit = timeLimit.getValue();
        var rules =
                new Session.Rules(
                        onReboot.getValue() == OnReboot.RESTART,
                        seconds("grace", grace.getValue()),
                        limit == null ? null : seconds("time-limit", limit));
        if (restored == null || boot.isGiven()) {
            builder.boot(boot.source()); // a restored guest may restart
        }
        builder.prefault(prefault);
        builder.endOnPanic(onPanic.getValue() == OnPanic.EXIT);
        if (traceFile.getValue() != null && traced.<Set<TraceKind>>getValue().isEmpty()) {
            throw new ConfigException("trace-file", "goes with --trace");
        }
        @Nullable Path names = symbols.getValue();
        if (names != null) {
            builder.symbols(names);
        }
        builder.onSilence(SILENCE, RunCommand::reportSilence);
        // its name outlives its disks: whoever waits for its end finds them closed
        try (NamedVm named = naming.open(arguments())) {
            boolean ended = false;
            try {
                int status = run(builder, rules, named);
                ended = true;
                return status;
            } finally {
                if (!ended && named != null) {
                    named.ended("it could not go on", ExitStatus.HOST);
                }
            }
        }
    }

    private int run(VmBuilder builder, Session.Rules rules, @Nullable NamedVm named)
            throws IOException, InterruptedException {
        try (GuestDisks disks = disk.open()) {
            disks.attachTo(builder);
            rng.attachTo(builder, boot.isKernel(), disk.transport());
            hvc.attachTo(builder, boot.isKernel(), disk.transport());
            vsock.attachTo(builder, disk.transport());
            ports.attachTo(builder, disk.transport());
            net.parse().attachTo(builder, disk.transport());
            balloon.attachTo(builder, disk.transport());
            var snapshots =
                    new GuestSnapshots(
                            snapshotDirectory.getValue(),
                            net.withAddresses(given(OF_THE_SESSION)),
                            disks,
                            restored);
            return run(builder, rules, disks, snapshots, named);
        }
    }

    private List<String> given(Set<String> except) {
        CommandSpec spec = commandSpec;
        return spec == null
                ? List.of()
                : SavedArguments.of(spec.commandLine().getParseResult(), except);
    }

    /// What follows `kaval`, without what only its background process is told.
    private List<String> arguments() {
        List<String> all =
                original != null
                        ? original
                        : Objects.requireNonNull(commandSpec)
                                .commandLine()
                                .getParent()
                                .getParseResult()
                                .originalArgs();
        return all.stream().filter(each -> !each.equals(NameOptions.BACKGROUND)).toList();
    }

    private int run(
            VmBuilder builder,
            Session.Rules rules,
            GuestDisks disks,
            GuestSnapshots snapshots,
            @Nullable NamedVm named)
            throws IOException, InterruptedException {
        VmOutcome outcome;
        Session session =
                Session.open(
                        builder,
                        rules,
                        snapshots,
                        named != null
                                        && naming.isBackground()
                                        && console.getValue().equals(GuestConsole.TTY)
                                ? _ -> GuestConsole.background(named.folder())
                                : pressed -> GuestConsole.open(console.getValue(), pressed));
        try (session;
                OutputStream file = openTraceFile()) {
            // to standard error as it is now, on a raw terminal
            builder.trace(traced.getValue(), traceFile.getValue() == null ? System.err : file);
            if (named != null) {
                session.onStart(() ->
                        named.running(
                                new ControlledSession(
                                        session,
                                        rules.grace(),
                                        disks,
                                        net.networks(),
                                        balloon,
                                        snapshots,
                                        facts(named))));
            }
            outcome = session.run();
        }
        report(session, outcome, System.err); // to a terminal that is itself again
        int status = session.exitStatus(outcome);
        if (named != null) {
            named.ended(outcome.toString(), status);
        }
        return status;
    }

    /// What can be asked of a named machine.
    private Map<String, Object> facts(NamedVm named) {
        var facts = new LinkedHashMap<String, Object>();
        facts.put("name", named.folder().name());
        facts.put("process", ProcessHandle.current().pid());
        facts.put("cpus", CpuCount.parse(cpus.getValue()).total());
        facts.put("memory", memory.<ByteSize>getValue().bytes());
        facts.put("command", arguments());
        return facts;
    }

    private OutputStream openTraceFile() throws IOException {
        @Nullable Path file = traceFile.getValue();
        return file == null ? OutputStream.nullOutputStream() : Files.newOutputStream(file);
    }

    private static void reportSilence(Diagnosis diagnosis) {
        System.err.printf("kaval: nothing on the serial port for %d s%n", SILENCE.toSeconds());
        diagnosis.lines().forEach(line -> System.err.println("  " + line));
    }

    private static Duration seconds(String option, double value) {
        if (!(value > 0 && value <= Integer.MAX_VALUE)) {
            throw new ConfigException(option, value + " is not a number of seconds");
        }
        return Duration.ofNanos((long) (value * 1e9));
    }

    private void report(Session session, VmOutcome outcome, PrintStream err) {
        switch (outcome) {
            case VmOutcome.Crashed crashed -> {
                err.println("kaval: the guest " + crashed);
                crashed.details().forEach(line -> err.println("  " + line));
            }
            case VmOutcome.Halted _, VmOutcome.Panicked _ -> {
                err.println("kaval: the guest " + outcome);
                session.lastDiagnosis().forEach(line -> err.println("  " + line));
            }
            case VmOutcome.TimedOut _ -> err.println("kaval: the guest was " + outcome);
            case VmOutcome.PoweredOff _,
                    VmOutcome.Rebooted _,
                    VmOutcome.DebugExit _,
                    VmOutcome.Stopped _ -> {}
        }
        if (statistics.<Boolean>getValue()) {
            session.exitCounts()
                    .forEach((reason, count) -> err.printf("%-16s %,12d%n", reason, count));
        }
    }
}
