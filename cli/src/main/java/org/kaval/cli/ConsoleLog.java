package org.kaval.cli;

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.jspecify.annotations.Nullable;

/// A file with what a guest has written, the last of it: when it has grown to its limit, it becomes
/// `log.1` in place of the one before, and a new one begins. So a guest cannot fill the disk.
///
/// One thread at a time. What goes wrong is said once, and the guest goes on without a log.
final class ConsoleLog implements AutoCloseable {
    /// Of each of the two files, in bytes.
    static final int LIMIT = 2 << 20;

    private final @Nullable Path path;
    private @Nullable OutputStream out;
    private long size;

    private ConsoleLog(@Nullable Path path, @Nullable OutputStream out) {
        this.path = path;
        this.out = out;
    }

    /// Begins a new file.
    static ConsoleLog open(Path path) throws IOException {
        return new ConsoleLog(path, new FileOutputStream(path.toFile()));
    }

    /// One that keeps nothing.
    static ConsoleLog none() {
        return new ConsoleLog(null, null);
    }

    /// Where the older half is.
    static Path older(Path path) {
        return path.resolveSibling(path.getFileName() + ".1");
    }

    void write(byte[] bytes, int from, int count) {
        if (out == null || path == null) {
            return;
        }
        try {
            if (size + count > LIMIT) {
                out.close();
                Files.move(path, older(path), StandardCopyOption.REPLACE_EXISTING);
                out = new FileOutputStream(path.toFile());
                size = 0;
            }
            out.write(bytes, from, count);
            size += count;
        } catch (IOException e) {
            System.err.println("kaval: no more log: " + e.getMessage());
            close();
        }
    }

    @Override
    public void close() {
        if (out != null) {
            try {
                out.close();
            } catch (IOException e) {
                System.err.println("kaval: log: " + e.getMessage());
            }
            out = null;
        }
    }
}
