package org.kaval.devices.block;

import org.jspecify.annotations.Nullable;

/// A slot of a {@link TableCache}. All fields are guarded by the cache.
final class Table {
    static final long NONE = -1;

    /// Where it is in the file; {@link #NONE} if the slot is empty.
    long offset = NONE;

    /// Being read: nobody may look yet.
    boolean loading;

    /// Not yet in the file as it is here.
    boolean dirty;

    /// When it was last looked at; the least goes first.
    long used;

    private final long size;
    private @Nullable Buffer buffer; // allocated when first used: most images have few tables

    Table(long size) {
        this.size = size;
    }

    Buffer buffer() {
        Buffer current = buffer;
        if (current == null) {
            current = Buffer.allocate(size);
            buffer = current;
        }
        return current;
    }

    /// Entry `index` of 8 bytes.
    long entry(long index) {
        return buffer().bytes().get(Qcow2.BE64, index * Long.BYTES);
    }

    void entry(long index, long value) {
        buffer().bytes().set(Qcow2.BE64, index * Long.BYTES, value);
        dirty = true;
    }
}
