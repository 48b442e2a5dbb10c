package org.kaval.ci.bench;

import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;

/// Reads the output of {@link BootRounds} as it comes, adds what it has seen itself, and passes the
/// rest on: how much CPU time all processes below this one took for each boot. Where a software CPU
/// emulates the guest, that is what an idle machine takes, whatever else this one does. One thread.
final class BootTimes extends OutputStream {
    private final ByteArrayOutputStream line = new ByteArrayOutputStream();
    private final Map<String, Samples> wall = new LinkedHashMap<>();
    private final Map<String, Samples> cpu = new LinkedHashMap<>();
    private double begin;

    @Override
    public void write(int b) {
        if (b != '\n') {
            line.write(b);
            return;
        }
        String text = line.toString(StandardCharsets.UTF_8);
        line.reset();
        if (text.equals(BootRounds.BEGINS)) {
            begin = cpuMillis();
        } else if (text.startsWith(BootRounds.AT_INIT)) {
            add(text.substring(BootRounds.AT_INIT.length()));
        } else {
            System.out.println(text);
        }
    }

    private void add(String result) {
        double used = cpuMillis() - begin;
        int split = result.lastIndexOf(": ");
        String name = result.substring(0, split);
        double millis = Double.parseDouble(result.substring(split + 2));
        System.out.printf("  %s: %.0f ms, CPU time %.0f ms%n", name, millis, used);
        if (wall.containsKey(name)) {
            wall.get(name).add(millis);
            cpu.get(name).add(used);
        } else { // the first one fills caches
            wall.put(name, new Samples());
            cpu.put(name, new Samples());
        }
    }

    /// Prints the medians.
    void print(int rounds) {
        System.out.printf("%nfirst instruction of the guest to its init, median of %d%n", rounds);
        wall.forEach((name, samples) ->
                System.out.printf(
                        "  %-18s %6.0f ms   CPU time %6.0f ms%n",
                        name, samples.median(), cpu.get(name).median()));
    }

    private static double cpuMillis() {
        return ProcessHandle.current()
                        .descendants()
                        .map(process -> process.info().totalCpuDuration().orElse(Duration.ZERO))
                        .reduce(Duration.ZERO, Duration::plus)
                        .toNanos()
                / 1e6;
    }
}
