package org.kaval.devices.block;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.kaval.linux.IoVector;

/// Memory that a file is read into or written from.
///
/// @param vector all of `bytes`
record Buffer(MemorySegment bytes, IoVector vector) {
    /// What every block device is content with.
    static final int ALIGNMENT = 4096;

    static Buffer allocate(long size) {
        MemorySegment bytes = Arena.ofAuto().allocate(size, ALIGNMENT);
        return new Buffer(bytes, IoVector.of(bytes));
    }
}
