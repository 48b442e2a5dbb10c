package org.kaval.devices.block;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.kaval.linux.IoVector;

/// Zeroes to write where a file system cannot make them by itself.
final class Zeroes {
    private static final MemorySegment ZEROES = Arena.global().allocate(1 << 18, 4096).asReadOnly();

    private Zeroes() {}

    /// 256 KiB of zeroes.
    static MemorySegment segment() {
        return ZEROES;
    }

    /// Zeroes to write from, one thread at a time.
    static IoVector vector() {
        return IoVector.of(ZEROES);
    }

    /// Whether `bytes` are zeroes.
    static boolean are(MemorySegment bytes) {
        for (long at = 0; at < bytes.byteSize(); at += ZEROES.byteSize()) {
            long length = Math.min(ZEROES.byteSize(), bytes.byteSize() - at);
            if (MemorySegment.mismatch(bytes, at, at + length, ZEROES, 0, length) >= 0) {
                return false;
            }
        }
        return true;
    }

    /// Writes `length` zeroes to `offset`.
    static void write(BlockFile file, long offset, long length) throws IOException {
        IoVector vector = vector();
        for (long done = 0; done < length; ) {
            long count = Math.min(vector.byteSize(), length - done);
            file.write(offset + done, vector, 0, count);
            done += count;
        }
    }
}
