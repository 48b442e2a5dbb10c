package org.kaval.machine.snapshot;

import java.io.IOException;
import java.nio.file.Path;

/// A snapshot cannot be read: it is cut short, altered, of a newer version, or of another machine.
/// The message is one line that begins with the file.
public final class SnapshotException extends IOException {
    private static final long serialVersionUID = 1;

    public SnapshotException(Path file, String problem) {
        super(file + ": " + problem);
    }
}
