package org.kaval.linux;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/// This host cannot do what was asked. The message is one line that names what is missing and,
/// where it is known, the command that mends it.
public final class HostUnsupportedException extends IOException {
    private static final long serialVersionUID = 1;

    public HostUnsupportedException(String message) {
        super(message);
    }

    public HostUnsupportedException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
