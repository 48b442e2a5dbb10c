package org.kaval.devices.block;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Checkpoint;

/// A copy of what an image had at one moment, on its way: {@link #finish} copies grain by grain,
/// and whoever is about to change a grain copies it before.
///
/// If a grain cannot be copied the copy has failed, and the image is used on as if there were none.
/// {@link #finish} and {@link #close} are called by one thread.
public final class ImageCopy implements AutoCloseable {
    private static final int GRAIN_BITS = 16;
    private static final long GRAIN = 1L << GRAIN_BITS;

    /// How much is copied at once at most, while those wait who want to change something.
    private static final long STEP = 1 << 20;

    private final BlockImage from;
    private final BlockImage to;
    private final boolean keepsBelow;
    private final Consumer<@Nullable ImageCopy> listener;
    private final long size;
    private final AtomicLongArray copied; // a bit per grain
    private final ReentrantLock lock = new ReentrantLock(true); // whoever changes gets his turn
    private final Buffer buffer = Buffer.allocate(STEP); // guarded by lock
    private @Nullable IOException failure; // guarded by lock
    private boolean ended; // guarded by lock
    private boolean begun; // guarded by lock
    private boolean closed;

    /// @param to an empty image, which it takes over
    /// @param keepsBelow whether what is below `from` shows through the copy as well
    /// @param listener is given this when changes have to be told to it, and null afterwards
    ImageCopy(
            BlockImage from,
            BlockImage to,
            boolean keepsBelow,
            Consumer<@Nullable ImageCopy> listener) {
        this.from = from;
        this.to = to;
        this.keepsBelow = keepsBelow;
        this.listener = listener;
        size = from.size();
        long grains = Math.ceilDiv(size, GRAIN);
        copied = new AtomicLongArray(Math.toIntExact(Math.ceilDiv(grains, (long) Long.SIZE)));
    }

    /// How large the disk is, in bytes.
    public long size() {
        return size;
    }

    /// What the image has now is what the copy will have. No request may be under way.
    ///
    /// @throws IOException if the image is larger than when the copy was made
    /// @throws IllegalStateException if another copy has begun and not ended
    public void begin() throws IOException {
        lock.lock();
        try {
            if (from.size() != size) {
                throw new IOException(from.name() + ": has become larger before it was copied");
            }
            listener.accept(this);
            begun = true;
        } finally {
            lock.unlock();
        }
    }

    /// `[offset, offset + length)` is about to be changed. Any thread; allocates nothing once all
    /// of it has been copied.
    void beforeChange(long offset, long length) {
        long end = Math.min(offset + length, size);
        for (long at = offset & -GRAIN; at < end; at += GRAIN) {
            if (!isCopied(at)) {
                copyFor(at);
            }
        }
    }

    private void copyFor(long at) {
        lock.lock();
        try {
            if (!isCopied(at) && failure == null && !ended) {
                copy(at, Math.min(at + GRAIN, size));
            }
        } catch (IOException e) {
            failure = e; // finish says it
        } finally {
            lock.unlock();
        }
    }

    /// Copies what has not been copied yet, and puts all of it on the disk.
    ///
    /// @param checkpoint is passed before each MiB
    /// @throws IOException if something of it could not be read or written, now or before
    public void finish(Checkpoint checkpoint) throws IOException {
        long at = 0;
        while (at < size) {
            checkpoint.pass();
            at = isCopied(at) ? at + GRAIN : copySome(at);
        }
        end();
        to.flush();
    }

    /// @return where to go on
    private long copySome(long at) throws IOException {
        lock.lock();
        try {
            if (failure != null) {
                throw failure;
            }
            if (isCopied(at)) {
                return at;
            }
            long end = at + GRAIN;
            while (end < size && end - at < STEP && !isCopied(end)) {
                end += GRAIN;
            }
            copy(at, Math.min(end, size));
            return end;
        } catch (IOException e) {
            failure = e;
            throw e;
        } finally {
            lock.unlock();
        }
    }

    /// Copies whole grains; the lock is held.
    private void copy(long begin, long end) throws IOException {
        for (long at = begin; at < end; ) {
            Extent extent =
                    keepsBelow ? from.extent(at, end - at) : Layers.extent(from, at, end - at);
            long length = extent.length();
            switch (extent.kind()) {
                case DATA -> {
                    from.read(at, buffer.vector(), 0, length);
                    if (keepsBelow) {
                        to.write(at, buffer.vector(), 0, length);
                    } else {
                        ImageOperations.writeWhatIsNotZero(to, at, buffer, length);
                    }
                }
                case ZERO -> {
                    if (keepsBelow) {
                        to.writeZeroes(at, length, true);
                    }
                }
                case ABSENT -> {}
            }
            at += length;
        }
        for (long at = begin; at < end; at += GRAIN) {
            long grain = at >>> GRAIN_BITS;
            // before the change that waits for it
            copied.getAndUpdate((int) (grain / Long.SIZE), word -> word | 1L << grain);
        }
    }

    private boolean isCopied(long at) {
        long grain = at >>> GRAIN_BITS;
        return (copied.get((int) (grain / Long.SIZE)) & 1L << grain) != 0;
    }

    private void end() {
        lock.lock();
        try {
            ended = true;
            if (begun) {
                begun = false;
                listener.accept(null);
            }
        } finally {
            lock.unlock();
        }
    }

    /// Ends it, whole or not; once more does nothing.
    @Override
    public void close() throws IOException {
        end();
        if (!closed) {
            closed = true;
            to.close();
        }
    }
}
