package org.kaval.cli;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kaval.kvm.Kvm;
import org.kaval.machine.ConfigException;
import org.kaval.machine.Vm;
import org.kaval.machine.VmBuilder;
import org.kaval.machine.VmOutcome;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.memory.Backing;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/// `kaval run`: one machine, in the foreground, its first serial port on the terminal.
@Command(
        name = "run",
        description = {
            "Runs a virtual machine until it ends.",
            "Its first serial port is connected to standard input and output."
        })
final class RunCommand implements Callable<Integer> {
    @Mixin CommonOptions common = new CommonOptions();

    @Option(
            names = "--payload",
            required = true,
            paramLabel = "FILE",
            description = "Flat code without any format, entered at its first byte.")
    Path payload = Path.of("");

    @Option(
            names = "--mode",
            paramLabel = "MODE",
            defaultValue = "LONG64",
            description =
                    "The mode it is entered in, which also says where it is loaded: REAL16 (at"
                            + " 0x7c00), PROTECTED32 or LONG64 (at 0x100000). Default: ${DEFAULT-VALUE}.")
    FlatPayload.Mode mode = FlatPayload.Mode.LONG64;

    @Option(
            names = "--cpus",
            paramLabel = "N|sockets=A,cores=B,threads=C",
            defaultValue = "1",
            description = "How many vCPUs, and how they are arranged. Default: ${DEFAULT-VALUE}.")
    String cpus = "1";

    @Option(
            names = "--memory",
            paramLabel = "SIZE",
            defaultValue = "128M",
            converter = ByteSize.Converter.class,
            description = "How much RAM, as 512M or 2G. Default: ${DEFAULT-VALUE}.")
    ByteSize memory = new ByteSize(0);

    @Option(names = "--hugepages", description = "Take the RAM from the host's pool of huge pages.")
    boolean hugePages;

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

    @Option(names = "--stats", description = "Print the exits to user space when it has ended.")
    boolean statistics;

    @Override
    public Integer call() throws IOException, InterruptedException {
        VmBuilder builder =
                Vm.builder()
                        .kvmDevice(kvmDevice)
                        .boot(FlatPayload.of(payload, mode))
                        .memory(memory.bytes())
                        .memoryBacking(hugePages ? new Backing.HugePages() : Backing.anonymous());
        CpuCount.parse(cpus).applyTo(builder);
        Duration limit = limit();
        try (var session = Foreground.build(builder)) {
            VmOutcome outcome = session.run(limit);
            report(session.vm(), outcome, System.err);
            return ExitStatus.of(outcome);
        }
    }

    private @Nullable Duration limit() {
        if (timeLimit == null) {
            return null;
        }
        double seconds = timeLimit;
        if (!(seconds > 0 && seconds <= Integer.MAX_VALUE)) {
            throw new ConfigException("time-limit", seconds + " is not a number of seconds");
        }
        return Duration.ofNanos((long) (seconds * 1e9));
    }

    private void report(Vm vm, VmOutcome outcome, PrintStream err) {
        switch (outcome) {
            case VmOutcome.Crashed crashed -> {
                err.println("kaval: the guest " + crashed);
                crashed.details().forEach(line -> err.println("  " + line));
            }
            case VmOutcome.Halted _ -> err.println("kaval: the guest " + outcome);
            case VmOutcome.TimedOut _ -> err.println("kaval: the guest was " + outcome);
            case VmOutcome.PoweredOff _,
                    VmOutcome.Rebooted _,
                    VmOutcome.DebugExit _,
                    VmOutcome.Stopped _ -> {}
        }
        if (statistics) {
            vm.exitCounts().forEach((reason, count) -> err.printf("%-16s %,12d%n", reason, count));
        }
    }
}
