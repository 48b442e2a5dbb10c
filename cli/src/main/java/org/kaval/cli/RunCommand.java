package org.kaval.cli;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kaval.kvm.Kvm;
import org.kaval.machine.ConfigException;
import org.kaval.machine.Vm;
import org.kaval.machine.VmBuilder;
import org.kaval.machine.VmOutcome;
import org.kaval.machine.diagnosis.Diagnosis;
import org.kaval.machine.trace.TraceKind;
import org.kaval.memory.Backing;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/// `kaval run`: one guest, in the foreground, its first serial port on the terminal.
@Command(
        name = "run",
        description = {
            "Runs a virtual machine until it ends.",
            "Its first serial port is connected to the terminal, where Ctrl-] ? lists keys for Kaval."
        },
        footer = {
            "",
            "SIGTERM presses the guest's power button; SIGINT stops it at once.",
        })
final class RunCommand implements Callable<Integer> {
    /// What a guest does that asks for a restart.
    enum OnReboot {
        RESTART,
        EXIT
    }

    private static final Duration SILENCE = Duration.ofSeconds(10);

    @Mixin CommonOptions common = new CommonOptions();
    @Mixin BootOptions boot = new BootOptions();
    @Mixin DiskOptions disk = new DiskOptions();

    @Option(
            names = "--cpus",
            paramLabel = "N|sockets=A,cores=B,threads=C",
            defaultValue = "1",
            description = "How many vCPUs, and how they are arranged. Default: ${DEFAULT-VALUE}.")
    String cpus = "1";

    @Option(
            names = "--memory",
            paramLabel = "SIZE",
            defaultValue = "1G",
            converter = ByteSize.Converter.class,
            description =
                    "How much RAM, as 512M or 2G; the host commits what the guest touches."
                            + " Default: ${DEFAULT-VALUE}.")
    ByteSize memory = new ByteSize(0);

    @Option(names = "--hugepages", description = "Take the RAM from the host's pool of huge pages.")
    boolean hugePages;

    @Option(
            names = "--console",
            paramLabel = "tty|none|file=PATH|socket=PATH",
            defaultValue = "tty",
            description =
                    "Where the first serial port leads: standard input and output, nowhere, the end"
                            + " of a file, or a Unix socket. Default: ${DEFAULT-VALUE}.")
    String console = "tty";

    @Option(
            names = "--on-reboot",
            paramLabel = "restart|exit",
            defaultValue = "restart",
            description =
                    "What happens when the guest asks for a restart. Default: ${DEFAULT-VALUE}.")
    OnReboot onReboot = OnReboot.RESTART;

    @Option(
            names = "--grace",
            paramLabel = "SECONDS",
            defaultValue = "30",
            description =
                    "How long the guest may take to shut down after SIGTERM. Default:"
                            + " ${DEFAULT-VALUE}.")
    double grace = 30;

    @Option(
            names = "--time-limit",
            paramLabel = "SECONDS",
            description = "Stop the machine after so long; exit status 4.")
    @Nullable Double timeLimit;

    @Option(
            names = "--kvm",
            paramLabel = "DEVICE",
            defaultValue = "/dev/kvm",
            description = "Where KVM is. Default: ${DEFAULT-VALUE}.")
    Path kvmDevice = Kvm.DEVICE;

    @Option(
            names = "--symbols",
            paramLabel = "FILE",
            description =
                    "Where the names of the guest's code are, for diagnoses: an ELF file or a"
                            + " System.map. Default: beside the kernel, where distributions have them.")
    @Nullable Path symbols;

    @Option(
            names = "--trace",
            split = ",",
            paramLabel = "exits|pio|mmio|pci",
            description =
                    "Take down what the guest does to its devices, a line each: all exits, accesses"
                            + " to ports, to memory, to PCI configuration space; several with commas.")
    Set<TraceKind> traced = EnumSet.noneOf(TraceKind.class);

    @Option(
            names = "--trace-file",
            paramLabel = "FILE",
            description = "Where the trace goes. Default: standard error.")
    @Nullable Path traceFile;

    @Option(names = "--stats", description = "Print the exits to user space when it has ended.")
    boolean statistics;

    @Override
    public Integer call() throws IOException, InterruptedException {
        VmBuilder builder =
                Vm.builder()
                        .kvmDevice(kvmDevice)
                        .memory(memory.bytes())
                        .memoryBacking(hugePages ? new Backing.HugePages() : Backing.anonymous());
        CpuCount.parse(cpus).applyTo(builder);
        var rules =
                new Session.Rules(
                        onReboot == OnReboot.RESTART,
                        seconds("grace", grace),
                        timeLimit == null ? null : seconds("time-limit", timeLimit));
        builder.boot(boot.source());
        if (traceFile != null && traced.isEmpty()) {
            throw new ConfigException("trace-file", "goes with --trace");
        }
        if (symbols != null) {
            builder.symbols(symbols);
        }
        builder.onSilence(SILENCE, RunCommand::reportSilence);
        try (GuestDisks disks = disk.open()) {
            disks.attachTo(builder);
            return run(builder, rules);
        }
    }

    private int run(VmBuilder builder, Session.Rules rules)
            throws IOException, InterruptedException {
        VmOutcome outcome;
        Session session = Session.open(builder, rules, console);
        try (session;
                OutputStream file = openTraceFile()) {
            // to standard error as it is now, on a raw terminal
            builder.trace(traced, traceFile == null ? System.err : file);
            outcome = session.run();
        }
        report(session, outcome, System.err); // to a terminal that is itself again
        return session.exitStatus(outcome);
    }

    private OutputStream openTraceFile() throws IOException {
        return traceFile == null
                ? OutputStream.nullOutputStream()
                : Files.newOutputStream(traceFile);
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
            case VmOutcome.Halted _ -> {
                err.println("kaval: the guest " + outcome);
                session.lastDiagnosis().forEach(line -> err.println("  " + line));
            }
            case VmOutcome.TimedOut _ -> err.println("kaval: the guest was " + outcome);
            case VmOutcome.PoweredOff _,
                    VmOutcome.Rebooted _,
                    VmOutcome.DebugExit _,
                    VmOutcome.Stopped _ -> {}
        }
        if (statistics) {
            session.exitCounts()
                    .forEach((reason, count) -> err.printf("%-16s %,12d%n", reason, count));
        }
    }
}
