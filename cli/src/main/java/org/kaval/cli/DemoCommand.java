package org.kaval.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.kaval.kvm.KvmKind;
import org.kaval.linux.Fd;
import org.kaval.linux.Terminal;
import org.kaval.machine.Vm;
import org.kaval.machine.VmOutcome;
import org.kaval.machine.boot.FlatPayload;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `kaval demo`: a small built-in guest that runs on any KVM, and how long each step took; then
/// Linux, where it can run.
@Command(
        name = "demo",
        description = {
            "Boots a tiny built-in 64-bit guest and shows how long each step took. Then boots Debian's"
                    + " unmodified cloud kernel to a shell, where KVM has VT-x or AMD-V."
        })
final class DemoCommand implements Callable<Integer> {
    private static final double NANOS_PER_MILLI = 1e6;
    private static final int FIELD_START_TIME = 22;
    private static final long NANOS_PER_TICK = 10_000_000; // USER_HZ is 100 on every x86 kernel
    private static final long MEMORY = 128L << 20;
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final long LINUX_MEMORY = 512L << 20;
    private static final Duration GRACE = Duration.ofSeconds(30);

    /// When the command began, in nanoseconds since 1970, if its process was another one's before.
    private static final String BEGAN = "KAVAL_BEGAN";

    @Mixin CommandSpec common = CommonOptions.mixin();
    @Spec CommandSpec spec = CommandSpec.create();

    @Option(names = "--tiny", description = "Only the tiny guest.")
    private boolean tiny;

    @Option(
            names = "--nested",
            description =
                    "Only Linux, in a nested host with AMD-V that QEMU emulates: slow, and for any"
                            + " host.")
    private boolean nested;

    /// What happened when, by {@link System#nanoTime}.
    private record Run(
            VmOutcome outcome, long built, long firstRun, long ended, Map<String, Long> exits) {}

    @Override
    public Integer call() throws IOException, InterruptedException {
        if (nested) {
            return bootLinuxNested();
        }
        int status = bootTinyGuest();
        return status == ExitStatus.OK && !tiny ? bootLinux() : status;
    }

    private int bootTinyGuest() throws IOException, InterruptedException {
        long begin = System.nanoTime();
        long age = processAge();
        Run run = run();
        long closed = System.nanoTime();

        PrintWriter out = spec.commandLine().getOut();
        out.printf("%nThe guest %s.%n%n", run.outcome);
        print(out, "process started", age);
        print(out, "machine built", run.built - begin);
        print(out, "vCPU started", run.firstRun - run.built);
        print(out, "guest ran", run.ended - run.firstRun);
        print(out, "machine closed", closed - run.ended);
        out.printf(
                "%nKVM of the kind %s; the first guest instruction ran %.0f ms after the",
                KvmKind.detect(), (age + run.firstRun - begin) / NANOS_PER_MILLI);
        out.printf(" process began.%nExits to user space:%n");
        run.exits.forEach((reason, count) -> out.printf("  %-16s %8d%n", reason, count));
        out.flush();
        return ExitStatus.of(run.outcome);
    }

    private int bootLinux() throws IOException, InterruptedException {
        if (!KvmKind.detect().isHardware()) {
            tell(
                    "An unmodified Linux needs VT-x or AMD-V, which this host's KVM does not have;"
                            + " 'kaval demo --nested' boots one where AMD-V is emulated.");
            return ExitStatus.OK;
        }
        tell("Next: an unmodified Linux. Debian's cloud kernel comes from its package, once.");
        LinuxGuest guest;
        try {
            guest = LinuxGuest.make();
        } catch (IOException e) {
            tell("It is not to be had here: " + e.getMessage());
            return ExitStatus.OK;
        }
        var builder = Vm.builder().memory(LINUX_MEMORY).boot(guest.boot(!hasTerminal()));
        var rules = new Session.Rules(true, GRACE, null);
        VmOutcome outcome;
        Session session =
                Session.open(
                        builder,
                        rules,
                        GuestSnapshots.none(),
                        pressed -> GuestConsole.open(GuestConsole.TTY, pressed));
        try (session) {
            outcome = session.run();
        }
        tell("The guest %s.".formatted(outcome));
        return session.exitStatus(outcome);
    }

    private int bootLinuxNested() throws IOException, InterruptedException {
        tell(
                "A Linux with AMD-V, which QEMU emulates, boots an unmodified Linux: in a minute or so.");
        LinuxGuest guest = LinuxGuest.make();
        try (Fd input = Fd.duplicateOfStandardInput()) {
            return NestedDemo.run(guest, Terminal.of(input).orElse(null));
        }
    }

    private static boolean hasTerminal() throws IOException {
        try (Fd input = Fd.duplicateOfStandardInput()) {
            return Terminal.of(input).isPresent();
        }
    }

    private void tell(String line) {
        PrintWriter out = spec.commandLine().getOut();
        out.println();
        out.println(line);
        out.flush();
    }

    private static Run run() throws IOException, InterruptedException {
        try (Vm vm =
                Vm.builder()
                        .memory(MEMORY)
                        .boot(FlatPayload.of(payload(), FlatPayload.Mode.LONG64))
                        .serialOutput(new FileOutputStream(FileDescriptor.out))
                        .build()) {
            long built = System.nanoTime();
            vm.start();
            VmOutcome outcome = vm.awaitExit(LIMIT);
            long ended = System.nanoTime();
            long firstRun = vm.vcpus().getFirst().firstRunNanos();
            return new Run(outcome, built, firstRun, ended, vm.exitCounts());
        }
    }

    private static void print(PrintWriter out, String what, long nanos) {
        out.printf("  %-16s %8.1f ms%n", what, nanos / NANOS_PER_MILLI);
    }

    /// How old this process is, in nanoseconds; the kernel tells it in hundredths of a second
    /// (proc(5), `/proc/pid/stat` field 22 and `/proc/uptime`).
    private static long processAge() throws IOException {
        String began = System.getenv(BEGAN);
        if (began != null) {
            Instant now = Instant.now();
            long seconds = TimeUnit.SECONDS.toNanos(now.getEpochSecond());
            return seconds + now.getNano() - Long.parseLong(began);
        }
        String stat = Files.readString(Path.of("/proc/self/stat"));
        // the second field is the name in parentheses, which may have blanks in it
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
        long startTicks = Long.parseLong(fields[FIELD_START_TIME - 3]);
        String uptime = Files.readString(Path.of("/proc/uptime"));
        double upSeconds = Double.parseDouble(uptime.substring(0, uptime.indexOf(' ')));
        return (long) (upSeconds * 1e9) - startTicks * NANOS_PER_TICK;
    }

    private static byte[] payload() throws IOException {
        try (InputStream in = DemoCommand.class.getResourceAsStream("demo.bin")) {
            return in.readAllBytes();
        }
    }
}
