package org.kaval.guests;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;

/// A file that gets its name when it is whole, and is gone if it never is. Of one thread.
final class NewFile implements AutoCloseable {
    private final Path target;
    private final Path path;

    /// Makes it, empty, beside `target`.
    NewFile(Path target) throws IOException {
        this.target = target.toAbsolutePath();
        Path directory = this.target.getParent();
        if (directory == null || !Files.isDirectory(directory)) {
            throw new IOException(directory + ": no such directory");
        }
        String name = String.valueOf(this.target.getFileName());
        path = Files.createTempFile(directory, "." + name, ".new");
        Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-r--r--"));
    }

    /// Where to write.
    Path path() {
        return path;
    }

    /// It is whole: gives it its name, in place of what had it.
    void keep() throws IOException {
        Files.move(path, target, StandardCopyOption.ATOMIC_MOVE);
    }

    @Override
    public void close() throws IOException {
        Files.deleteIfExists(path);
    }
}
