package org.kaval.machine.snapshot;

import java.util.Locale;

/// How the memory of a snapshot is written.
public enum MemoryCompression {
    /// As it is. It is mapped from the file when it is restored, and read where it is touched.
    NONE,

    /// By Zstandard, after the guest goes on. It takes less of a disk, and is read as a whole when
    /// it is restored.
    ZSTD;

    /// Its name for users.
    public String text() {
        return name().toLowerCase(Locale.ROOT);
    }
}
