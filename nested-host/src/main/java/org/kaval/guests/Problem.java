package org.kaval.guests;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;

/// Says in one line what went wrong.
final class Problem {
    private Problem() {}

    /// What `failure` says. Some of the JDK's say no more than the file's name.
    static String line(IOException failure) {
        String message = failure.getMessage();
        if (failure instanceof FileSystemException f && f.getReason() == null) {
            String reason =
                    switch (f) {
                        case NoSuchFileException _ -> "no such file or directory";
                        case FileAlreadyExistsException _ -> "exists already";
                        case AccessDeniedException _ -> "permission denied";
                        default -> f.getClass().getSimpleName();
                    };
            return f.getFile() + ": " + reason;
        }
        return message == null
                ? failure.getClass().getSimpleName()
                : message.lines().findFirst().orElse("").strip();
    }
}
