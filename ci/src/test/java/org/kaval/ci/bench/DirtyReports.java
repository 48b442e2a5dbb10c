package org.kaval.ci.bench;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// What the guest of `dirties.c` says of itself on its serial port: written by one thread, asked by
/// another.
final class DirtyReports extends OutputStream {
    private static final int LIMIT_MILLIS = 60_000;
    private static final int NUMBERS = 3;

    /// @param nanos when it came here
    /// @param tsc when the guest made it
    /// @param gap for how long it stood still at most since the one before, in cycles
    /// @param pages how many it has written since it began
    private record Report(long nanos, long tsc, long gap, long pages) {}

    private final List<Report> reports = new ArrayList<>(); // guarded by this
    private final ByteArrayOutputStream text = new ByteArrayOutputStream(); // guarded by this

    @Override
    public synchronized void write(int character) {
        text.write(character);
        String all = text.toString(StandardCharsets.US_ASCII);
        if (character == '\n' && all.lines().count() == NUMBERS) {
            long[] numbers = all.lines().mapToLong(n -> Long.parseUnsignedLong(n, 16)).toArray();
            reports.add(new Report(System.nanoTime(), numbers[0], numbers[1], numbers[2]));
            text.reset();
            notifyAll();
        }
    }

    /// Waits for `more` reports.
    ///
    /// @return how many there are
    synchronized int await(int more) throws IOException, InterruptedException {
        int wanted = reports.size() + more;
        long end = System.nanoTime() + LIMIT_MILLIS * 1_000_000L;
        while (reports.size() < wanted) {
            long left = (end - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                throw new IOException("the guest is silent");
            }
            wait(left);
        }
        return reports.size();
    }

    /// The longest time in milliseconds for which it stood still, by the reports from one on.
    synchronized double longestGap(int from) {
        return reports.stream().skip(from).mapToLong(Report::gap).max().orElseThrow()
                / (cyclesPerSecond() / 1e3);
    }

    /// How much the guest dirties, in MiB a second of its own running, by the first reports.
    synchronized double rate(int count) {
        Report first = reports.getFirst();
        Report last = reports.get(count - 1);
        return (last.pages - first.pages) / 256.0 / ((last.nanos - first.nanos) / 1e9);
    }

    private double cyclesPerSecond() {
        Report first = reports.getFirst();
        Report last = reports.getLast();
        return (last.tsc - first.tsc) / ((last.nanos - first.nanos) / 1e9);
    }
}
