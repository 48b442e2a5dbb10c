package org.kaval.ci.bench;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.kaval.ci.CompiledPayloads;
import org.kaval.machine.Vm;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.boot.FlatPayload.Mode;
import org.kaval.machine.snapshot.SnapshotOptions;

/// For how long does a guest that dirties 100 MiB a second stand still when its memory is written
/// to a file while it runs: a live snapshot, beside QEMU's `migrate`, after which the guest is let
/// go on as soon as QEMU says that it is done. The guest is `dirties.c`, the same code for both; it
/// notes the longest gap between two readings of its time stamp counter. Both files are in a folder
/// of `/tmp`.
final class LivePause {
    private static final int WARM_UP = 5;
    private static final int ROUNDS = 20;
    private static final long MEBIBYTES_A_SECOND = 100;
    private static final int SETTLE = 4;

    /// What in the payload stands for the cycles from one page to the next, and to a report.
    private static final long PAGE_CYCLES = 0x6c6176614b000001L;

    private static final long REPORT_CYCLES = 0x6c6176614b000002L;

    /// How long QEMU may let a guest stand still, in milliseconds: its default, and little.
    private static final int[] DOWNTIME_LIMITS = {300, 20};

    /// @param gap as the guest sees it, in milliseconds
    /// @param told as the VMM tells it
    /// @param total from the command until all is written
    private record Results(Samples rate, Samples quiet, Samples gap, Samples told, Samples total) {
        Results() {
            this(new Samples(), new Samples(), new Samples(), new Samples(), new Samples());
        }
    }

    private LivePause() {}

    static void run() throws Exception {
        Path folder = Files.createTempDirectory("kaval-bench");
        try {
            Path payload = payload(folder);
            System.out.printf(
                    "%na guest of 128 MiB that writes to 64 MiB, %d pages a second, %d rounds%n",
                    MEBIBYTES_A_SECOND * 256, ROUNDS);
            report("kaval, live snapshot", kaval(payload, folder.resolve("live")));
            for (int limit : DOWNTIME_LIMITS) {
                report(
                        "qemu, migrate, downtime-limit " + limit,
                        qemu(DiskReads.rom(payload), folder, limit));
            }
        } finally {
            try (Stream<Path> files = Files.walk(folder)) {
                files.sorted(Comparator.reverseOrder()).forEach(f -> f.toFile().delete());
            }
        }
    }

    /// The payload, paced for this processor.
    private static Path payload(Path folder) throws IOException, InterruptedException {
        new CompiledPayloads().make(Path.of(""));
        byte[] code = Files.readAllBytes(CompiledPayloads.file("dirties"));
        double second = megahertz() * 1e6;
        put(code, PAGE_CYCLES, (long) (second / (MEBIBYTES_A_SECOND * 256)));
        put(code, REPORT_CYCLES, (long) (second / 4));
        return Files.write(folder.resolve("dirties"), code);
    }

    private static double megahertz() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
            String line = lines.filter(l -> l.startsWith("cpu MHz")).findFirst().orElseThrow();
            return Double.parseDouble(line.substring(line.indexOf(':') + 1));
        }
    }

    private static void put(byte[] code, long mark, long value) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(code).order(ByteOrder.LITTLE_ENDIAN);
        for (int at = 0; at <= code.length - Long.BYTES; at++) {
            if (bytes.getLong(at) == mark) {
                bytes.putLong(at, value);
                return;
            }
        }
        throw new IOException("the payload has no 0x%x".formatted(mark));
    }

    private static Results kaval(Path payload, Path snapshot) throws Exception {
        var reports = new DirtyReports();
        try (Vm vm =
                Vm.builder()
                        .memory(128L << 20)
                        .boot(FlatPayload.of(payload, Mode.LONG64))
                        .serialOutput(reports)
                        .build()) {
            vm.start();
            return measure(
                    reports,
                    () ->
                            vm.snapshot(snapshot, SnapshotOptions.DEFAULT.withLive(true)).toNanos()
                                    / 1e6);
        }
    }

    private static Results qemu(Path rom, Path folder, int downtimeLimit) throws Exception {
        Path socket = folder.resolve("qmp");
        Process process =
                new ProcessBuilder(command(rom, socket))
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        var reports = new DirtyReports();
        Thread.ofVirtual()
                .start(() -> {
                    try {
                        process.getInputStream().transferTo(reports);
                    } catch (IOException e) {
                        // the guest is silent then, which is noticed
                    }
                });
        reports.await(1);
        try (var qmp = new Qmp(socket)) {
            qmp.execute(
                    "{\"execute\": \"migrate-set-capabilities\", \"arguments\": {\"capabilities\":"
                            + " [{\"capability\": \"events\", \"state\": true}]}}");
            qmp.execute(
                    ("{\"execute\": \"migrate-set-parameters\", \"arguments\":"
                                    + " {\"max-bandwidth\": 100000000000, \"downtime-limit\": %d}}")
                            .formatted(downtimeLimit));
            Path file = folder.resolve("migrated");
            return measure(reports, () -> migrate(qmp, file));
        } finally {
            process.destroyForcibly().waitFor();
            Files.deleteIfExists(socket);
        }
    }

    private static double migrate(Qmp qmp, Path file) throws IOException {
        qmp.execute(
                "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"exec:cat > %s\"}}"
                        .formatted(file));
        qmp.await("\"completed\"");
        while (!qmp.isAccepted("{\"execute\": \"cont\"}")) {
            Thread.onSpinWait(); // "Migration is not finalized yet"
        }
        String answer = qmp.execute("{\"execute\": \"query-migrate\"}");
        return Double.parseDouble(answer.replaceAll(".*\"downtime\": (\\d+).*", "$1"));
    }

    private static List<String> command(Path rom, Path socket) {
        var command = new ArrayList<>(List.of("qemu-system-x86_64", "-M", "microvm,isa-serial=on"));
        command.addAll(List.of("-accel", "kvm", "-m", "128", "-nodefaults", "-no-user-config"));
        command.addAll(List.of("-display", "none", "-serial", "stdio", "-bios", rom.toString()));
        command.addAll(List.of("-qmp", "unix:%s,server=on,wait=off".formatted(socket)));
        return command;
    }

    /// Writes the guest to a file.
    private interface Work {
        /// Returns for how long the VMM says that the guest stood still, in milliseconds.
        double run() throws IOException, InterruptedException;
    }

    private static Results measure(DirtyReports reports, Work work)
            throws IOException, InterruptedException {
        var results = new Results();
        results.rate.add(reports.rate(reports.await(SETTLE + 2)));
        for (int i = -WARM_UP; i < ROUNDS; i++) {
            int from = reports.await(1);
            reports.await(SETTLE);
            double quiet = reports.longestGap(from);
            from = reports.await(1);
            long begin = System.nanoTime();
            double told = work.run();
            double total = (System.nanoTime() - begin) / 1e6;
            reports.await(2);
            if (i >= 0) {
                results.quiet.add(quiet);
                results.gap.add(reports.longestGap(from));
                results.told.add(told);
                results.total.add(total);
            }
        }
        return results;
    }

    private static void report(String name, Results results) {
        System.out.printf(
                "  %-34s %4.0f MiB/s; the guest stood still for %6.1f ms (p90 %6.1f, most %6.1f; %.1f without),"
                        + " as it is told %6.1f ms (p90 %6.1f); %6.0f ms in all%n",
                name,
                results.rate.median(),
                results.gap.median(),
                results.gap.quantile(0.9),
                results.gap.quantile(1),
                results.quiet.median(),
                results.told.median(),
                results.told.quantile(0.9),
                results.total.median());
    }
}
