package org.kaval.cli;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// Reads the two files of a {@link ConsoleLog}, which another process may write meanwhile.
final class LogReader implements AutoCloseable {
    private static final int POLL_MILLIS = 50;
    private static final int MOST_TRIES = 1000;
    private static final String LOSS = "\n[kaval: some of it is lost]\n";

    private final Path log;
    private final InputStream newer;
    private final Object newerKey;
    private final InputStream older;
    private final @Nullable Object olderKey; // null if there is none

    private LogReader(
            Path log,
            InputStream newer,
            Object newerKey,
            InputStream older,
            @Nullable Object olderKey) {
        this.log = log;
        this.newer = newer;
        this.newerKey = newerKey;
        this.older = older;
        this.olderKey = olderKey;
    }

    interface Condition {
        boolean holds() throws IOException;
    }

    /// Copies all that there is, and what follows while `goesOn`. The writer keeps no more than the
    /// two files: a reader that is slower is told what it missed.
    static void copy(Path log, OutputStream out, Condition goesOn)
            throws IOException, InterruptedException {
        Object copied = null; // the file that was the newer one
        boolean more = true;
        while (more) {
            try (LogReader files = open(log)) {
                if (!files.beginsAfter(copied)) {
                    if (copied != null) {
                        out.write(LOSS.getBytes(US_ASCII));
                    }
                    files.older.transferTo(out);
                }
                more = files.follow(out, goesOn);
                copied = files.newerKey;
            }
        }
    }

    /// Both as they are at one moment.
    ///
    /// @throws NoSuchFileException if there is none any more
    private static LogReader open(Path log) throws IOException, InterruptedException {
        for (int i = 0; i < MOST_TRIES; i++) {
            Object newerKey = key(log);
            Object olderKey = key(ConsoleLog.older(log));
            InputStream newer = open(log, newerKey);
            InputStream older = open(ConsoleLog.older(log), olderKey);
            if (newerKey != null
                    && newerKey.equals(key(log))
                    && Objects.equals(olderKey, key(ConsoleLog.older(log)))) {
                return new LogReader(log, newer, newerKey, older, olderKey);
            }
            try (newer) {
                older.close();
            }
            Thread.sleep(1); // another begins at this moment
        }
        throw new NoSuchFileException(log.toString());
    }

    private static InputStream open(Path file, @Nullable Object key) throws IOException {
        try {
            return key == null ? InputStream.nullInputStream() : Files.newInputStream(file);
        } catch (NoSuchFileException _) {
            return InputStream.nullInputStream();
        }
    }

    private boolean beginsAfter(@Nullable Object copied) {
        return olderKey != null && olderKey.equals(copied);
    }

    /// Copies the newer one.
    ///
    /// @return whether another has begun in its place
    private boolean follow(OutputStream out, Condition goesOn)
            throws IOException, InterruptedException {
        while (true) {
            boolean last = !goesOn.holds();
            newer.transferTo(out);
            Object now = key(log);
            if (now != null && !now.equals(newerKey)) {
                newer.transferTo(out); // what came before that
                return true;
            }
            if (last) {
                return false;
            }
            Thread.sleep(POLL_MILLIS);
        }
    }

    private static @Nullable Object key(Path file) throws IOException {
        try {
            return Files.readAttributes(file, BasicFileAttributes.class).fileKey();
        } catch (NoSuchFileException _) {
            return null;
        }
    }

    @Override
    public void close() throws IOException {
        try (newer) {
            older.close();
        }
    }
}
