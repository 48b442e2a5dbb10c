package org.kaval.devices.net;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.SocketPath;
import org.kaval.linux.TimerFd;
import org.kaval.linux.UnixSocket;

/// Frames over a Unix stream socket, each behind its length in four bytes, the highest first: what
/// QEMU's `-netdev stream` and passt speak. Joins two guests, or a guest and a program.
///
/// Whoever comes first listens, and the second connects. When the other one goes, the link is down
/// until the next comes; one that was connected connects again once somebody listens there.
public final class SocketBackend implements NetBackend {
    private static final Logger LOG = System.getLogger(SocketBackend.class.getName());

    /// How often one that was connected looks whether somebody listens again.
    private static final long REDIAL_NANOS = TimeUnit.SECONDS.toNanos(1);

    private final Path path;
    private final @Nullable Fd listener;
    private final @Nullable TimerFd redial; // of who receives
    private final FrameStream stream;

    private SocketBackend(
            Path path, @Nullable Fd listener, @Nullable Fd connection, @Nullable TimerFd redial) {
        this.path = path;
        this.listener = listener;
        this.redial = redial;
        this.stream = new FrameStream(this, connection);
    }

    /// Connects to who listens at `path`, or listens there if nobody does.
    ///
    /// @throws IOException if neither is possible
    public static SocketBackend open(Path path) throws IOException {
        try (Fd _ = SocketPath.lockFolder(path)) {
            return openAlone(path);
        }
    }

    /// @param limit for how long to wait for others that are about to do the same
    static SocketBackend open(Path path, Duration limit) throws IOException {
        try (Fd _ = SocketPath.lockFolder(path, limit)) {
            return openAlone(path);
        }
    }

    private static SocketBackend openAlone(Path path) throws IOException {
        try {
            return connectAgain(path);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ECONNREFUSED && e.errno() != Errno.ENOENT) {
                throw e;
            }
        }
        try {
            return new SocketBackend(path, SocketPath.listenAlone(path), null, null);
        } catch (FileAlreadyExistsException e) {
            try {
                return connectAgain(path); // somebody was faster
            } catch (ErrnoException _) {
                throw e;
            }
        }
    }

    /// Connects to who listens at `path`, and to nobody else later.
    public static SocketBackend connect(Path path) throws ErrnoException {
        return new SocketBackend(path, null, UnixSocket.connect(path), null);
    }

    private static SocketBackend connectAgain(Path path) throws ErrnoException {
        Fd connection = UnixSocket.connect(path);
        boolean done = false;
        try {
            var redial = TimerFd.create(path + ", to connect again");
            done = true;
            return new SocketBackend(path, null, connection, redial);
        } finally {
            if (!done) {
                connection.close();
            }
        }
    }

    @Nullable Fd listener() {
        return listener;
    }

    /// What tells that it is time for {@link #next}; null if nobody will come any more.
    @Nullable Fd awaited() {
        return redial != null ? redial.fd() : listener;
    }

    /// Who is there where nobody was, if somebody is. By who receives.
    @Nullable Fd next() throws ErrnoException {
        if (redial != null) {
            return redial.drain() == 0 ? null : redial(redial);
        }
        return listener == null ? null : accept(listener);
    }

    private @Nullable Fd accept(Fd waiting) {
        try {
            return UnixSocket.accept(waiting);
        } catch (ErrnoException e) { // no more descriptors, perhaps: the next may have more luck
            LOG.log(Level.WARNING, "{0}: {1}", path, e.getMessage());
            return null;
        }
    }

    private @Nullable Fd redial(TimerFd timer) throws ErrnoException {
        Fd connection;
        try {
            connection = UnixSocket.connect(path);
        } catch (ErrnoException e) {
            LOG.log(Level.DEBUG, "{0}: {1}", path, e.getMessage());
            return null;
        }
        timer.set(0, 0);
        return connection;
    }

    void connected() {
        LOG.log(Level.INFO, "{0}: connected", path);
    }

    /// By who receives.
    void disconnected(String why) throws ErrnoException {
        LOG.log(
                Level.WARNING,
                awaited() != null
                        ? "{0}: {1}; the link is down until the next comes"
                        : "{0}: {1}; the link stays down",
                path,
                why);
        if (redial != null) {
            redial.set(REDIAL_NANOS, REDIAL_NANOS);
        }
    }

    @Override
    public int queues() {
        return 1;
    }

    @Override
    public NetQueue queue(int index) {
        return stream;
    }

    @Override
    public int offloads() {
        return 0;
    }

    @Override
    public boolean hasHeader() {
        return false;
    }

    @Override
    public void onLink(Consumer<Boolean> listener) {
        stream.onLink(listener);
    }

    @Override
    public void close() {
        stream.close();
        if (redial != null) {
            redial.close();
        }
        if (listener != null) {
            try {
                Files.deleteIfExists(path); // while it is this one's still
            } catch (IOException e) {
                LOG.log(Level.WARNING, "cannot delete {0}: {1}", path, e.toString());
            }
            listener.close();
        }
    }
}
