package org.kaval.ci.bench;

import java.time.Duration;
import java.util.HexFormat;
import org.kaval.machine.Vm;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.boot.FlatPayload.Mode;

/// How long does a machine take in a warm JVM: built, run to its first exit, closed? The same
/// system calls in C, in turns, show how much of it is the kernel's.
final class VmLifeCycle {
    private static final int WARM_UP = 200;
    private static final int ROUNDS = 500;

    private VmLifeCycle() {}

    static void run() throws Exception {
        byte[] exit = HexFormat.ofDelimiter(" ").parseHex("e7 f4 f4"); // out 0xf4, eax; hlt
        var build = new Samples();
        var run = new Samples();
        var close = new Samples();
        var total = new Samples();
        var c = new Samples();
        try (var program = new CProgram("life")) {
            measure(exit, program, build, run, close, total, c);
        }
        System.out.printf(
                "%na machine of 128 MiB in a warm JVM, median of %d%n"
                        + "  build %.2f ms   run to its first exit %.2f ms   close %.2f ms   total %.2f ms (p90 %.2f)%n"
                        + "  the same system calls in C: total %.2f ms   Java/C %.2f%n",
                ROUNDS,
                build.median(),
                run.median(),
                close.median(),
                total.median(),
                total.quantile(0.9),
                c.median(),
                total.median() / c.median());
    }

    private static void measure(
            byte[] exit,
            CProgram program,
            Samples build,
            Samples run,
            Samples close,
            Samples total,
            Samples c)
            throws Exception {
        for (int i = -WARM_UP; i < ROUNDS; i++) {
            long begin = System.nanoTime();
            long built;
            long ended;
            try (Vm vm = Vm.builder().boot(FlatPayload.of(exit, Mode.LONG64)).build()) {
                built = System.nanoTime();
                vm.start();
                vm.awaitExit(Duration.ofSeconds(10));
                ended = System.nanoTime();
            }
            long closed = System.nanoTime();
            double inC = program.measure(1) / 1e6;
            if (i >= 0) {
                build.add((built - begin) / 1e6);
                run.add((ended - built) / 1e6);
                close.add((closed - ended) / 1e6);
                total.add((closed - begin) / 1e6);
                c.add(inC);
            }
        }
    }
}
