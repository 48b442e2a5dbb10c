package org.kaval.cli.control;

import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.Map;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;

/// What users are told of what went wrong, in one line.
public final class Failures {
    /// What opening a file fails with most.
    private static final Map<Integer, String> WORDS =
            Map.of(
                    Errno.ENOENT, "no such file",
                    Errno.EACCES, "permission denied",
                    Errno.EEXIST, "exists already",
                    Errno.EISDIR, "is a directory",
                    Errno.ENOSPC, "no space left",
                    Errno.EROFS, "read-only file system");

    private Failures() {}

    /// One line, with the file if it is about one.
    public static String message(Exception failure) {
        return switch (failure) {
            // java.nio's messages are the bare path, or the path and the system's words
            case NoSuchFileException e -> e.getFile() + ": no such file";
            case ErrnoException e when isOpening(e) && WORDS.containsKey(e.errno()) ->
                    e.object() + ": " + WORDS.get(e.errno());
            case AccessDeniedException e -> e.getFile() + ": permission denied";
            case FileSystemException e -> String.valueOf(e.getMessage());
            default -> failure.getMessage() == null ? failure.toString() : failure.getMessage();
        };
    }

    /// Devices of the host, which are its matter, are reported as such ({@link
    /// org.kaval.linux.HostUnsupportedException}).
    public static boolean isMissingFile(ErrnoException failure) {
        return isOpening(failure) && failure.errno() == Errno.ENOENT;
    }

    private static boolean isOpening(ErrnoException failure) {
        return failure.operation().equals("openat");
    }
}
