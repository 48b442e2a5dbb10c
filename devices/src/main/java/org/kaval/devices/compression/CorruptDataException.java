package org.kaval.devices.compression;

import java.io.IOException;

/// Compressed data that cannot be decompressed. The message says what was found and expected.
public final class CorruptDataException extends IOException {
    private static final long serialVersionUID = 1;

    private final long offset;

    CorruptDataException(long offset, String problem) {
        super(problem);
        this.offset = offset;
    }

    /// Where in the compressed data, in bytes; near it with formats that are not of bytes.
    public long offset() {
        return offset;
    }
}
