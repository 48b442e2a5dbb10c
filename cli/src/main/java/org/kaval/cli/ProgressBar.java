package org.kaval.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.kaval.devices.block.Progress;

/// How far an operation is, on one line that is written again and again.
final class ProgressBar implements Progress {
    private static final int WIDTH = 40;
    private static final int PERCENT = 100;

    private final PrintWriter out;
    private long shown = -1;

    ProgressBar(PrintWriter out) {
        this.out = out;
    }

    /// On standard error if that is a terminal, else nowhere.
    static Progress onTerminal(PrintWriter err) {
        return isTerminal() ? new ProgressBar(err) : NONE;
    }

    private static boolean isTerminal() {
        try {
            String target = Files.readSymbolicLink(Path.of("/proc/self/fd/2")).toString();
            return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty");
        } catch (IOException e) {
            return false; // standard error is closed
        }
    }

    @Override
    public void at(long done, long total) {
        long percent = total == 0 ? PERCENT : (long) ((double) done / total * PERCENT);
        if (percent == shown) {
            return;
        }
        shown = percent;
        int filled = (int) (percent * WIDTH / PERCENT);
        out.printf("\r[%s%s] %3d %%", "#".repeat(filled), " ".repeat(WIDTH - filled), percent);
        if (percent == PERCENT) {
            out.println();
        }
        out.flush();
    }
}
