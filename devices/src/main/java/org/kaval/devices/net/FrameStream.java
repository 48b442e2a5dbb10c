package org.kaval.devices.net;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.IoVector;
import org.kaval.linux.UnixSocket;

/// One connection after the other, with frames behind their lengths.
///
/// In steady state a frame is one system call: with a frame comes the length of the next. What
/// comes in pieces, or goes in pieces, is kept here meanwhile, so that a request of the guest's is
/// whole or has not begun.
final class FrameStream implements NetQueue, AutoCloseable {
    private static final ValueLayout.OfInt BE32 =
            JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final int LENGTH = Integer.BYTES;
    private static final int MAX_PIECES = IoVector.MAX_COUNT;

    private final SocketBackend owner;
    private volatile @Nullable Fd connection; // changed by who receives, with this locked
    private @Nullable Consumer<Boolean> listener; // guarded by this

    // who receives
    private final MemorySegment next = Arena.ofAuto().allocate(LENGTH);
    private final IoVector nextOnly = IoVector.of(next);
    private int nextBytes; // of the length of the next frame
    private final MemorySegment partial = Arena.ofAuto().allocate(NetBackend.MAX_FRAME);
    private final IoVector partialOnly = IoVector.of(partial);
    private int partialBytes; // of a frame that came in pieces

    // who sends; guarded by this
    private final MemorySegment length = Arena.ofAuto().allocate(LENGTH);
    private final IoVector out = new IoVector(MAX_PIECES);
    private final MemorySegment rest = Arena.ofAuto().allocate(LENGTH + NetBackend.MAX_FRAME);
    private final IoVector restOnly = IoVector.of(rest);
    private long restFrom;
    private long restEnd;
    private final Queue<Fd> retired = new ArrayDeque<>(); // connections that have ended

    FrameStream(SocketBackend owner, @Nullable Fd connection) {
        this.owner = owner;
        this.connection = connection;
    }

    void onLink(Consumer<Boolean> newListener) {
        boolean up;
        synchronized (this) {
            listener = newListener;
            up = connection != null;
        }
        newListener.accept(up);
    }

    @Override
    public long peek() throws ErrnoException {
        long size = nextSize();
        // where one has gone, the next may be waiting already
        return size == WOULD_WAIT && connection == null ? nextSize() : size;
    }

    private long nextSize() throws ErrnoException {
        Fd from = connection;
        if (from == null) {
            from = accept();
            if (from == null) {
                return WOULD_WAIT;
            }
        }
        while (nextBytes < LENGTH) {
            long count = read(from, nextOnly, nextBytes, LENGTH - nextBytes);
            if (count < 0) {
                return WOULD_WAIT;
            }
            nextBytes += (int) count;
        }
        int size = next.get(BE32, 0);
        if (size < 1 || size > NetBackend.MAX_FRAME) {
            disconnect("a frame of %d bytes".formatted(Integer.toUnsignedLong(size)));
            return WOULD_WAIT;
        }
        return size;
    }

    @Override
    public long receive(IoVector into) throws ErrnoException {
        Fd from = connection;
        if (from == null || nextBytes < LENGTH) {
            return WOULD_WAIT;
        }
        int size = next.get(BE32, 0);
        if (partialBytes == 0 && into.byteSize() == size) {
            into.add(next, 0, LENGTH);
            long count = read(from, into, 0, size + LENGTH);
            if (count >= size) {
                nextBytes = (int) (count - size);
                return size;
            }
            if (count < 0) {
                return incomplete();
            }
            into.copyTo(0, partial, 0, count);
            partialBytes = (int) count;
        }
        while (partialBytes < size) {
            long count = read(from, partialOnly, partialBytes, size - partialBytes);
            if (count < 0) {
                return incomplete();
            }
            partialBytes += (int) count;
        }
        partialBytes = 0;
        nextBytes = 0;
        if (into.byteSize() < size) {
            return LOST;
        }
        into.copyFrom(0, partial, 0, size);
        return size;
    }

    /// A frame of one that has gone is not worth waiting for.
    private long incomplete() {
        return connection == null ? LOST : WOULD_WAIT;
    }

    /// @return -1 if nothing is there, or nobody
    private long read(Fd from, IoVector into, long at, long count) throws ErrnoException {
        long result;
        try {
            result = from.readv(into, at, count);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ECONNRESET) {
                throw e;
            }
            result = 0;
        }
        if (result == 0) {
            disconnect("the other end has gone");
            return -1;
        }
        return result;
    }

    private @Nullable Fd accept() throws ErrnoException {
        Fd other = owner.next();
        if (other != null) {
            Consumer<Boolean> told;
            synchronized (this) {
                connection = other;
                told = listener;
            }
            owner.connected();
            tell(told, true);
        }
        return other;
    }

    private void disconnect(String why) throws ErrnoException {
        Consumer<Boolean> told;
        synchronized (this) {
            drop();
            told = listener;
        }
        nextBytes = 0;
        partialBytes = 0;
        owner.disconnected(why);
        tell(told, false);
    }

    private static void tell(@Nullable Consumer<Boolean> told, boolean up) {
        if (told != null) {
            told.accept(up);
        }
    }

    /// Who sends may be waiting for the connection, so that one closes it.
    private synchronized void drop() {
        Fd old = connection;
        connection = null;
        restFrom = 0;
        restEnd = 0;
        if (old != null) {
            UnixSocket.endReading(old);
            UnixSocket.endWriting(old);
            retired.add(old);
        }
    }

    private void closeRetired() {
        for (Fd old = retired.poll(); old != null; old = retired.poll()) {
            old.close();
        }
    }

    @Override
    public synchronized boolean flush() throws ErrnoException {
        closeRetired();
        Fd to = connection;
        if (to == null) {
            return true;
        }
        while (restFrom < restEnd) {
            long count = write(to, restOnly, restFrom, restEnd - restFrom);
            if (count == WOULD_WAIT) {
                return false;
            }
            restFrom = count == LOST ? restEnd : restFrom + count;
        }
        return true;
    }

    @Override
    public synchronized long send(IoVector frame) throws ErrnoException {
        Fd to = connection;
        if (to == null) {
            return LOST;
        }
        if (!flush()) {
            return WOULD_WAIT;
        }
        long size = frame.byteSize();
        length.set(BE32, 0, (int) size);
        out.clear();
        out.add(length, 0, LENGTH);
        out.add(frame, 0, size);
        long count = write(to, out, 0, LENGTH + size);
        if (count < 0) {
            return count;
        }
        restFrom = 0;
        restEnd = LENGTH + size - count;
        if (restEnd > 0) {
            out.copyTo(count, rest, 0, restEnd);
        }
        return size;
    }

    /// @return how many bytes, {@link #WOULD_WAIT}, or {@link #LOST} if the other end has gone: who
    ///   receives will see that, too
    private static long write(Fd to, IoVector from, long at, long count) throws ErrnoException {
        try {
            return to.writev(from, at, count);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EPIPE || e.errno() == Errno.ECONNRESET) {
                return LOST;
            }
            throw e;
        }
    }

    @Override
    public @Nullable Fd input() {
        Fd now = connection;
        return now == null ? owner.awaited() : now;
    }

    @Override
    public @Nullable Fd output() {
        return connection;
    }

    @Override
    public synchronized void close() {
        drop();
        closeRetired();
    }
}
