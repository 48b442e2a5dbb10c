package org.kaval.machine.boot;

import java.io.IOException;

/// A file that is to be booted is not what it should be, or does not fit into the machine. The
/// message is one line: the file, the offset, what is wrong, and what was expected, as in `vmlinuz:
/// offset 0x206: boot protocol 2.05, expected 2.06 or later`.
public final class BootFileException extends IOException {
    private static final long serialVersionUID = 1;

    private final String file;
    private final long offset;

    BootFileException(String file, long offset, String problem) {
        super("%s: offset 0x%x: %s".formatted(file, offset, problem));
        this.file = file;
        this.offset = offset;
    }

    /// The file, as its user named it.
    public String file() {
        return file;
    }

    /// Where in the file, in bytes.
    public long offset() {
        return offset;
    }
}
