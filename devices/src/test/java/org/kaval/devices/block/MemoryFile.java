package org.kaval.devices.block;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.IoVector;

/// A file in memory that remembers what was done to it, and is full when it is told to be.
final class MemoryFile implements BlockFile {
    /// Something that was done.
    sealed interface Change {
        @SuppressWarnings("ArrayRecordComponent") // never changed, never compared
        record Write(long offset, byte[] bytes) implements Change {}

        record Resize(long size) implements Change {}

        record Flush() implements Change {}
    }

    private byte[] content;
    private int size;
    private long limit = Long.MAX_VALUE;
    private boolean inCache;
    private final List<Change> changes = new ArrayList<>();

    MemoryFile(byte... content) {
        this.content = content.clone();
        size = content.length;
    }

    /// Makes writes behind `bytes` fail.
    void limit(long bytes) {
        limit = bytes;
    }

    /// Lets it be read without waiting.
    void cache() {
        inCache = true;
    }

    synchronized byte[] content() {
        return Arrays.copyOf(content, size);
    }

    synchronized List<Change> changes() {
        return List.copyOf(changes);
    }

    /// Does to this file what was done to another.
    void apply(Change change) {
        switch (change) {
            case Change.Write(long offset, byte[] bytes) -> put(offset, bytes);
            case Change.Resize(long bytes) -> setSize(bytes);
            case Change.Flush() -> {}
        }
    }

    private synchronized void put(long offset, byte[] bytes) {
        int end = Math.toIntExact(offset + bytes.length);
        if (end > size) {
            setSize(end);
        }
        System.arraycopy(bytes, 0, content, (int) offset, bytes.length);
    }

    private synchronized void setSize(long bytes) {
        int now = Math.toIntExact(bytes);
        if (now > content.length) {
            content = Arrays.copyOf(content, Math.max(now, 2 * content.length));
        } else if (now < size) {
            Arrays.fill(content, now, size, (byte) 0);
        }
        size = now;
    }

    @Override
    public String name() {
        return "memory";
    }

    @Override
    public synchronized long size() {
        return size;
    }

    @Override
    public synchronized void read(long offset, IoVector into, long from, long length) {
        long there = Math.clamp(size - offset, 0, length);
        if (there > 0) {
            byte[] bytes = Arrays.copyOfRange(content, (int) offset, (int) (offset + there));
            into.copyFrom(from, Bytes.segment(bytes), 0, there);
        }
        into.fillWithZeroes(from + there, length - there);
    }

    @Override
    public synchronized boolean tryRead(long offset, IoVector into, long from, long length) {
        if (inCache) {
            read(offset, into, from, length);
        }
        return inCache;
    }

    @Override
    public synchronized void write(long offset, IoVector source, long from, long length)
            throws IOException {
        if (length == 0) {
            return;
        }
        if (offset + length > limit) {
            throw new ErrnoException("pwritev", name(), Errno.ENOSPC);
        }
        byte[] bytes = Bytes.of(source, from, (int) length);
        changes.add(new Change.Write(offset, bytes));
        put(offset, bytes);
    }

    @Override
    public synchronized void flush() {
        changes.add(new Change.Flush());
    }

    @Override
    public synchronized void resize(long bytes) {
        changes.add(new Change.Resize(bytes));
        setSize(bytes);
    }

    @Override
    public synchronized boolean punchHole(long offset, long length) {
        long end = Math.min(offset + length, size);
        if (end > offset) {
            byte[] zeroes = new byte[(int) (end - offset)];
            changes.add(new Change.Write(offset, zeroes));
            put(offset, zeroes);
        }
        return true;
    }

    @Override
    public boolean zeroRange(long offset, long length) {
        return false;
    }

    @Override
    public Extent extent(long offset, long limit) {
        return new Extent(Extent.Kind.DATA, limit);
    }

    @Override
    public void close() {}
}
