package org.kaval.ci.bench;

import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/// A guest's console on which somebody waits for a mark.
final class ConsoleMark extends OutputStream {
    private final CountDownLatch seen = new CountDownLatch(1);
    private final String mark;
    private final StringBuilder text = new StringBuilder(); // guarded by this
    private volatile long time;

    ConsoleMark(String mark) {
        this.mark = mark;
    }

    @Override
    public void write(int b) {
        write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public synchronized void write(byte[] bytes, int offset, int length) {
        text.append(new String(bytes, offset, length, StandardCharsets.ISO_8859_1));
        if (seen.getCount() > 0 && text.indexOf(mark) >= 0) {
            time = System.nanoTime();
            seen.countDown();
        }
    }

    /// @return when the mark was there, by {@link System#nanoTime}
    long await(Duration limit) throws InterruptedException {
        if (!seen.await(limit.toSeconds(), TimeUnit.SECONDS)) {
            throw new IllegalStateException("no '%s' in:%n%s".formatted(mark, text()));
        }
        return time;
    }

    /// What the guest has said so far.
    synchronized String text() {
        return text.toString();
    }
}
