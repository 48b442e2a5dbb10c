package org.kaval.nested;

import java.io.IOException;
import java.util.concurrent.ExecutionException;
import org.jspecify.annotations.Nullable;

/// The nested host cannot be started, or has ended before its time; one line says why.
public final class NestedHostException extends IOException {
    private static final long serialVersionUID = 1;

    NestedHostException(String message) {
        super(message);
    }

    /// Another one for the caller's own stack trace.
    static NestedHostException of(ExecutionException failure) {
        Throwable cause = failure.getCause();
        String message = cause == null ? null : cause.getMessage();
        return new NestedHostException(message == null ? failure.toString() : message, cause);
    }

    NestedHostException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
