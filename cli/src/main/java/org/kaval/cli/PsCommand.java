package org.kaval.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.kaval.cli.control.ControlClient;
import org.kaval.cli.control.VmFolder;
import org.kaval.cli.control.VmRecord;
import org.kaval.machine.ConfigException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `kaval ps`: the named machines.
@Command(name = "ps", description = "Lists the named machines that run.")
final class PsCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();
    @Spec CommandSpec spec = CommandSpec.create();

    @Option(
            names = {"-a", "--all"},
            description = "Those that have ended as well.")
    boolean all;

    @Override
    public Integer call() throws IOException, InterruptedException {
        PrintWriter out = spec.commandLine().getOut();
        out.printf("%-20s %-10s %8s %10s  %s%n", "NAME", "STATE", "PROCESS", "FOR", "COMMAND");
        for (VmFolder folder : VmFolder.all()) {
            Optional<VmRecord> record = folder.read();
            boolean alive = folder.isAlive();
            if (record.isPresent() && (alive || all)) {
                print(out, folder, record.get(), alive);
            }
        }
        out.flush();
        return ExitStatus.OK;
    }

    private static void print(PrintWriter out, VmFolder folder, VmRecord record, boolean alive)
            throws IOException, InterruptedException {
        Instant end = record.ended() == null ? Instant.now() : record.ended();
        out.printf(
                "%-20s %-10s %8s %10s  %s%n",
                folder.name(),
                state(folder, record, alive),
                alive ? Long.toString(record.process()) : "-",
                words(Duration.between(record.started(), end)),
                "kaval " + String.join(" ", record.command()));
    }

    private static String state(VmFolder folder, VmRecord record, boolean alive)
            throws IOException, InterruptedException {
        if (!alive || !record.running()) {
            return record.state(alive);
        }
        try {
            return ControlClient.of(folder.name()).get("/v1/vm").text("state");
        } catch (ConfigException | IOException _) {
            return "ending"; // meanwhile
        }
    }

    private static String words(Duration time) {
        return time.truncatedTo(ChronoUnit.SECONDS)
                .toString()
                .substring(2)
                .toLowerCase(java.util.Locale.ROOT);
    }
}
