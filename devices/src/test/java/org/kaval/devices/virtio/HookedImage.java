package org.kaval.devices.virtio;

import java.io.IOException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import org.kaval.devices.block.BlockImage;
import org.kaval.devices.block.Extent;
import org.kaval.linux.IoVector;

/// An image that fails, waits and counts as a test wants it.
final class HookedImage implements BlockImage {
    final AtomicInteger flushes = new AtomicInteger();
    final AtomicInteger begun = new AtomicInteger();
    final Semaphore permits = new Semaphore(Integer.MAX_VALUE / 2);
    volatile boolean failing;
    volatile boolean closed;
    volatile boolean cached; // what is in memory is read at once
    private final BlockImage image;
    private final boolean readOnly;

    HookedImage(BlockImage image, boolean readOnly) {
        this.image = image;
        this.readOnly = readOnly;
    }

    private void begin() throws IOException {
        begun.incrementAndGet();
        permits.acquireUninterruptibly();
        if (failing) {
            throw new IOException("the disk is on fire");
        }
    }

    @Override
    public String name() {
        return "hooked";
    }

    @Override
    public long size() {
        return image.size();
    }

    @Override
    public boolean readOnly() {
        return readOnly;
    }

    @Override
    public void read(long offset, IoVector into, long from, long length) throws IOException {
        begin();
        image.read(offset, into, from, length);
    }

    @Override
    public boolean tryRead(long offset, IoVector into, long from, long length) throws IOException {
        if (cached) {
            image.read(offset, into, from, length);
        }
        return cached;
    }

    @Override
    public void write(long offset, IoVector source, long from, long length) throws IOException {
        begin();
        image.write(offset, source, from, length);
    }

    @Override
    public void flush() throws IOException {
        begin();
        flushes.incrementAndGet();
        image.flush();
    }

    @Override
    public void discard(long offset, long length) throws IOException {
        begin();
        image.discard(offset, length);
    }

    @Override
    public void writeZeroes(long offset, long length, boolean mayUnmap) throws IOException {
        begin();
        image.writeZeroes(offset, length, mayUnmap);
    }

    @Override
    public void resize(long bytes) throws IOException {
        image.resize(bytes);
    }

    @Override
    public Extent extent(long offset, long limit) throws IOException {
        return image.extent(offset, limit);
    }

    @Override
    public void close() throws IOException {
        closed = true;
        image.close();
    }
}
