package org.kaval.ci.bench;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.stream.Stream;
import org.kaval.machine.Vm;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.boot.FlatPayload.Mode;
import org.kaval.memory.GuestRange;

/// How long does it take in a warm JVM from a snapshot to the first instruction of the guest that
/// goes on, and does it depend on how much memory the guest has?
final class RestoreTime {
    private static final int WARM_UP = 100;
    private static final int ROUNDS = 200;
    private static final long[] MEBIBYTES = {128, 8192};

    /// How much of its memory the guest has used, at most.
    private static final long USED = 64L << 20;

    private RestoreTime() {}

    static void run() throws Exception {
        Path folder = Files.createTempDirectory("kaval-bench");
        try {
            System.out.printf(
                    "%na snapshot of a guest with %d MiB in use, in a warm JVM, median of %d%n",
                    USED >> 20, ROUNDS);
            for (long mebibytes : MEBIBYTES) {
                measure(folder.resolve(mebibytes + "M"), mebibytes << 20);
            }
        } finally {
            try (Stream<Path> files = Files.walk(folder)) {
                files.sorted(Comparator.reverseOrder()).forEach(f -> f.toFile().delete());
            }
        }
    }

    private static void measure(Path snapshot, long memory) throws Exception {
        byte[] exit = HexFormat.ofDelimiter(" ").parseHex("e7 f4 f4"); // out 0xf4, eax; hlt
        long begin = System.nanoTime();
        try (Vm vm = Vm.builder().memory(memory).boot(FlatPayload.of(exit, Mode.LONG64)).build()) {
            GuestRange last = vm.memory().ranges().getLast();
            for (long at = 16L << 20; at < USED; at += 4096) {
                vm.memory().writeLe64(at, at);
            }
            vm.memory().writeLe64(last.end() - 8, 1);
            begin = System.nanoTime();
            vm.snapshot(snapshot);
        }
        double written = (System.nanoTime() - begin) / 1e6;
        var first = new Samples();
        var total = new Samples();
        for (int i = -WARM_UP; i < ROUNDS; i++) {
            begin = System.nanoTime();
            try (Vm vm = Vm.restore(snapshot)) {
                vm.start();
                vm.awaitExit(Duration.ofSeconds(10));
                if (i >= 0) {
                    first.add((vm.vcpus().getFirst().firstRunNanos() - begin) / 1e6);
                }
            }
            if (i >= 0) {
                total.add((System.nanoTime() - begin) / 1e6);
            }
        }
        System.out.printf(
                "  %5d MiB: written %.0f ms; restored to its first instruction %.2f ms (least %.2f, p90 %.2f), and closed %.2f ms%n",
                memory >> 20,
                written,
                first.median(),
                first.quantile(0),
                first.quantile(0.9),
                total.median());
    }
}
