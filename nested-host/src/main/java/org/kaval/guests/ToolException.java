package org.kaval.guests;

import java.io.IOException;

/// A program of the host is missing, has failed or took too long: in one line.
final class ToolException extends IOException {
    private static final long serialVersionUID = 1;

    ToolException(String message) {
        super(message);
    }
}
