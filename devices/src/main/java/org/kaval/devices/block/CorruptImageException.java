package org.kaval.devices.block;

import java.io.IOException;

/// An image that is not what it should be. The message is one line: the file, the offset in it,
/// what was found and what was expected.
public final class CorruptImageException extends IOException {
    private static final long serialVersionUID = 1;

    private final long offset;

    CorruptImageException(String name, long offset, String problem) {
        super("%s: offset 0x%x: %s".formatted(name, offset, problem));
        this.offset = offset;
    }

    /// Where in the file, in bytes.
    public long offset() {
        return offset;
    }
}
