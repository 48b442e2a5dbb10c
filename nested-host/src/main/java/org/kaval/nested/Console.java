package org.kaval.nested;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/// Reads what the guest's console and the emulator itself print, on a thread of its own.
final class Console {
    private static final int KEPT = 64 << 10;
    private static final String PANIC = "Kernel panic - not syncing: ";

    private final StringBuilder text = new StringBuilder(); // guarded by this
    private final Thread reader;

    Console(InputStream in, @Nullable OutputStream log) {
        reader =
                Thread.ofPlatform().daemon().name("nested-host-console").start(() -> read(in, log));
    }

    private void read(InputStream in, @Nullable OutputStream log) {
        byte[] chunk = new byte[4096];
        try {
            for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
                add(new String(chunk, 0, n, StandardCharsets.ISO_8859_1));
                if (log != null) {
                    log.write(chunk, 0, n);
                    log.flush();
                }
            }
        } catch (IOException e) {
            add("\nconsole: " + e.getMessage() + "\n");
        }
    }

    private synchronized void add(String more) {
        text.append(more);
        if (text.length() > KEPT) {
            text.delete(0, text.length() - KEPT);
        }
    }

    void awaitEnd() throws InterruptedException {
        reader.join(1000);
    }

    synchronized String text() {
        return text.toString();
    }

    @Nullable String panic() {
        String all = text();
        int at = all.indexOf(PANIC);
        return at < 0
                ? null
                : all.substring(at + PANIC.length()).lines().findFirst().orElse("").strip();
    }

    String lastLine() {
        return text().lines()
                .map(String::strip)
                .filter(line -> !line.isEmpty() && !line.endsWith("reboot: Power down"))
                .reduce((_, last) -> "last line of its console: " + last)
                .orElse("its console is empty");
    }
}
