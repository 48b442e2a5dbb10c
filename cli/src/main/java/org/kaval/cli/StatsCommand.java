package org.kaval.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.ControlClient;
import org.kaval.cli.control.Fields;
import org.kaval.cli.control.VmFolder;
import org.kaval.machine.ConfigException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `kaval stats`: what a named machine uses.
@Command(
        name = "stats",
        description =
                "Shows what a machine uses: processor time, memory, exits to user space, disks,"
                        + " networks.")
final class StatsCommand implements Callable<Integer> {
    private static final int SECOND = 1000;
    private static final double MEBIBYTE = 1 << 20;

    @Mixin CommandSpec common = CommonOptions.mixin();
    @Spec CommandSpec spec = CommandSpec.create();

    @Parameters(paramLabel = "NAME", description = "The machine.")
    String name = "";

    @Option(
            names = {"-w", "--watch"},
            description = "A line a second, with rates, until the machine has ended.")
    boolean watch;

    @Override
    public Integer call() throws IOException, InterruptedException {
        PrintWriter out = spec.commandLine().getOut();
        var client = ControlClient.of(name);
        if (watch) {
            watch(out);
        } else {
            print(out, client.get("/v1/vm/statistics"));
        }
        out.flush();
        return ExitStatus.OK;
    }

    private static void print(PrintWriter out, Fields all) {
        out.printf("processor time  %,.1f s%n", all.number("processorSeconds"));
        out.printf("memory          %,.1f MiB%n", all.number("residentBytes") / MEBIBYTE);
        out.println("exits");
        Fields exits = all.object("exits");
        for (String reason : exits.values().keySet()) {
            out.printf("  %-16s %,12d%n", reason, exits.integer(reason));
        }
        Fields disks = all.object("disks");
        for (String name : disks.values().keySet()) {
            Fields disk = disks.object(name);
            out.printf(
                    "disk %s%n  reads            %,12d  %,.1f MiB%n"
                            + "  writes           %,12d  %,.1f MiB%n",
                    name,
                    disk.integer("reads"),
                    disk.number("readBytes") / MEBIBYTE,
                    disk.integer("writes"),
                    disk.number("writtenBytes") / MEBIBYTE);
        }
        printNetworks(out, all.object("networks"));
    }

    private static void printNetworks(PrintWriter out, Fields networks) {
        for (String name : networks.values().keySet()) {
            Fields network = networks.object(name);
            out.printf(
                    "network %s%n  frames received  %,12d  %,.1f MiB, %,d lost%n"
                            + "  frames sent      %,12d  %,.1f MiB, %,d lost%n",
                    name,
                    network.integer("receivedFrames"),
                    network.number("receivedBytes") / MEBIBYTE,
                    network.integer("receivedDropped"),
                    network.integer("sentFrames"),
                    network.number("sentBytes") / MEBIBYTE,
                    network.integer("sentDropped"));
        }
    }

    private void watch(PrintWriter out) throws IOException, InterruptedException {
        out.printf(
                "%8s %12s %10s %10s %10s %10s %10s %10s %10s%n",
                "CPU %",
                "MEMORY MiB",
                "EXITS/s",
                "READS/s",
                "MiB/s",
                "WRITES/s",
                "MiB/s",
                "RECV MiB/s",
                "SENT MiB/s");
        VmFolder folder = VmFolder.existing(name);
        Sample before = null;
        while (folder.isAlive()) {
            Sample now = sample();
            if (now != null && before != null) {
                now.print(out, before);
            }
            before = now;
            out.flush();
            Thread.sleep(SECOND);
        }
    }

    private @Nullable Sample sample() throws InterruptedException {
        try {
            return Sample.of(ControlClient.of(name).get("/v1/vm/statistics"));
        } catch (ConfigException | IOException _) {
            return null; // it restarts, or has ended
        }
    }

    private record Sample(
            long nanos,
            double processor,
            double memory,
            double exits,
            double reads,
            double readBytes,
            double writes,
            double writtenBytes,
            double receivedBytes,
            double sentBytes) {
        static Sample of(Fields all) {
            Fields exits = all.object("exits");
            Fields disks = all.object("disks");
            Fields networks = all.object("networks");
            return new Sample(
                    System.nanoTime(),
                    all.number("processorSeconds"),
                    all.number("residentBytes"),
                    exits.values().keySet().stream().mapToDouble(exits::number).sum(),
                    sum(disks, "reads"),
                    sum(disks, "readBytes"),
                    sum(disks, "writes"),
                    sum(disks, "writtenBytes"),
                    sum(networks, "receivedBytes"),
                    sum(networks, "sentBytes"));
        }

        private static double sum(Fields devices, String field) {
            return devices.values().keySet().stream()
                    .mapToDouble(name -> devices.object(name).number(field))
                    .sum();
        }

        void print(PrintWriter out, Sample before) {
            double seconds = (nanos - before.nanos) / 1e9;
            out.printf(
                    "%8.1f %12.1f %10.0f %10.0f %10.1f %10.0f %10.1f %10.1f %10.1f%n",
                    100 * rate(processor, before.processor, seconds),
                    memory / MEBIBYTE,
                    rate(exits, before.exits, seconds),
                    rate(reads, before.reads, seconds),
                    rate(readBytes, before.readBytes, seconds) / MEBIBYTE,
                    rate(writes, before.writes, seconds),
                    rate(writtenBytes, before.writtenBytes, seconds) / MEBIBYTE,
                    rate(receivedBytes, before.receivedBytes, seconds) / MEBIBYTE,
                    rate(sentBytes, before.sentBytes, seconds) / MEBIBYTE);
        }

        /// Counters begin anew when a guest restarts.
        private static double rate(double now, double before, double seconds) {
            return (now < before ? now : now - before) / seconds;
        }
    }
}
