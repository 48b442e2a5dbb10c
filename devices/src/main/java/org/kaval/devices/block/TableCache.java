package org.kaval.devices.block;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/// The tables of an image that are in memory: L2 tables, or refcount blocks. Each is one cluster.
///
/// Looking a table up and using it is one step under this object's monitor, in which there is no
/// input or output:
///
/// ```java
/// while (true) {
///     synchronized (cache) {
///         Table table = cache.find(offset);
///         if (table != null) {
///             return table.entry(index);
///         }
///     }
///     cache.load(offset);
/// }
/// ```
///
/// Tables become dirty only under the lock of their image, which is also held by {@link #write}. A
/// dirty table stays until it is written, so whoever makes tables dirty writes them before the
/// cache is full of them ({@link #crowded}).
final class TableCache {
    private static final long BYTES = 16 << 20;
    private static final int FEWEST = 16;
    private static final int MOST = 256;

    private final BlockFile file;
    private final Table[] slots;
    private final long[] offsets; // of the slots, beside each other: this is searched all the time
    private long clock;
    private int dirty;

    TableCache(BlockFile file, int tableSize) {
        this.file = file;
        slots = new Table[Math.clamp(BYTES / tableSize, FEWEST, MOST)];
        offsets = new long[slots.length];
        for (int i = 0; i < slots.length; i++) {
            slots[i] = new Table(tableSize);
            offsets[i] = Table.NONE;
        }
    }

    /// The table at `offset`, null unless it is in memory. Only while holding the monitor.
    @Nullable Table find(long offset) {
        int slot = indexOf(offset);
        if (slot < 0 || slots[slot].loading) {
            return null;
        }
        slots[slot].used = ++clock;
        return slots[slot];
    }

    /// Changes an entry of a table that {@link #find} has returned, under the same monitor.
    void set(Table table, long index, long value) {
        markDirty(table);
        table.entry(index, value);
    }

    void markDirty(Table table) {
        dirty += table.dirty ? 0 : 1;
        table.dirty = true;
    }

    /// Returns when the table at `offset` has been read, by this thread or by another.
    void load(long offset) throws IOException {
        Table table = startLoading(offset);
        if (table == null) {
            return;
        }
        boolean read = false;
        try {
            Buffer buffer = table.buffer();
            file.read(offset, buffer.vector(), 0, buffer.vector().byteSize());
            read = true;
        } finally {
            synchronized (this) {
                table.loading = false;
                if (!read) {
                    rename(table, Table.NONE);
                }
                notifyAll();
            }
        }
    }

    /// A slot to read the table into; null if it is there.
    private synchronized @Nullable Table startLoading(long offset) {
        while (true) {
            int slot = indexOf(offset);
            if (slot >= 0 && !slots[slot].loading) {
                return null;
            }
            Table table = slot >= 0 ? null : claim(offset);
            if (table != null) {
                table.loading = true;
                return table;
            }
            Waiting.on(this); // until it is loaded, or any other is
        }
    }

    /// Makes a table of zeroes that is not in the file yet.
    synchronized void create(long offset) {
        while (true) {
            // a slow reader may be loading what was there before the cluster was freed
            int old = indexOf(offset);
            Table table = old >= 0 ? slots[old] : claim(offset);
            if (table != null && !table.loading) {
                table.buffer().bytes().fill((byte) 0);
                markDirty(table);
                return;
            }
            Waiting.on(this);
        }
    }

    /// Makes a copy of the table at `from` that is not in the file yet.
    void copy(long from, long to) throws IOException {
        create(to);
        while (true) {
            synchronized (this) {
                Table source = find(from);
                Table copy = find(to);
                if (source != null && copy != null) {
                    copy.buffer().bytes().copyFrom(source.buffer().bytes());
                    return;
                }
            }
            load(from);
        }
    }

    /// Writes all dirty tables.
    ///
    /// @return whether there were any
    boolean write() throws IOException {
        boolean any = false;
        for (Table table : slots) {
            if (isDirty(table)) {
                Buffer buffer = table.buffer();
                file.write(table.offset, buffer.vector(), 0, buffer.vector().byteSize());
                synchronized (this) {
                    table.dirty = false;
                    dirty--;
                    notifyAll();
                }
                any = true;
            }
        }
        return any;
    }

    private synchronized boolean isDirty(Table table) {
        return table.dirty;
    }

    synchronized boolean hasDirty() {
        return dirty > 0;
    }

    /// Whether dirty tables must be written before more are made.
    synchronized boolean crowded() {
        return dirty > slots.length / 2;
    }

    /// The slot that was not used for the longest time; null if none can be had now.
    private @Nullable Table claim(long offset) {
        Table oldest = null;
        for (Table table : slots) {
            if (!table.dirty && !table.loading && (oldest == null || table.used < oldest.used)) {
                oldest = table;
            }
        }
        if (oldest != null) {
            rename(oldest, offset);
            oldest.used = ++clock;
        }
        return oldest;
    }

    private void rename(Table table, long offset) {
        for (int i = 0; i < slots.length; i++) {
            if (slots[i] == table) {
                offsets[i] = offset;
            }
        }
        table.offset = offset;
        table.used = 0;
    }

    private int indexOf(long offset) {
        for (int i = 0; i < offsets.length; i++) {
            if (offsets[i] == offset) {
                return i;
            }
        }
        return -1;
    }
}
