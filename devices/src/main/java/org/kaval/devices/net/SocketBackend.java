package org.kaval.devices.net;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.UnixSocket;

/// Frames over a Unix stream socket, each behind its length in four bytes, the highest first: what
/// QEMU's `-netdev stream` and passt speak. Joins two guests, or a guest and a program.
///
/// Whoever comes first listens, and the second connects. When the other one goes, the link is down
/// until the next comes; one that was connected looks who listens then, or does so itself.
public final class SocketBackend implements NetBackend {
    private static final Logger LOG = System.getLogger(SocketBackend.class.getName());

    /// For how long frames wait for a folder that is locked.
    private static final Duration REJOIN_LIMIT = Duration.ofSeconds(1);

    /// One that ends may listen a little longer than it is connected.
    private static final Duration REJOIN_DELAY = Duration.ofMillis(100);

    /// One that stays for a shorter time has not come for frames.
    private static final Duration SHORT_STAY = Duration.ofSeconds(1);

    private static final int MAX_SHORT_STAYS = 10;

    private final String name;
    private final @Nullable Path path; // where others are looked for; null: nowhere
    private final FrameStream stream;

    // who receives
    private volatile @Nullable Fd listener;
    private long joined = System.nanoTime();
    private int shortStays;

    private SocketBackend(String name, @Nullable Path path, End end) {
        this.name = name;
        this.path = path;
        this.listener = end.listener;
        this.stream = new FrameStream(this, end.connection);
    }

    /// One of the two.
    private record End(@Nullable Fd listener, @Nullable Fd connection) {
        static End connect(Path path) throws ErrnoException {
            return new End(null, UnixSocket.connect(path));
        }
    }

    /// Connects to who listens at `path`, or listens there if nobody does.
    ///
    /// @throws IOException if neither is possible
    public static SocketBackend open(Path path) throws IOException {
        return open(path, UnixSocket.FOLDER_LIMIT);
    }

    /// @param limit for how long to wait for others that are about to do the same
    static SocketBackend open(Path path, Duration limit) throws IOException {
        return new SocketBackend(path.toString(), path, join(path, limit));
    }

    /// Connects to who listens at `path`, and to nobody else later.
    public static SocketBackend connect(Path path) throws ErrnoException {
        return new SocketBackend(path.toString(), null, End.connect(path));
    }

    private static End join(Path path, Duration limit) throws IOException {
        try (Fd _ = UnixSocket.lockFolder(path, limit)) {
            return joinAlone(path);
        }
    }

    private static End joinAlone(Path path) throws IOException {
        try {
            return End.connect(path);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ECONNREFUSED) {
                deleteSocket(path);
            } else if (e.errno() != Errno.ENOENT) {
                throw e;
            }
        }
        try {
            return new End(UnixSocket.listen(path), null);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                throw new NoSuchFileException(String.valueOf(path.toAbsolutePath().getParent()));
            }
            if (e.errno() == Errno.EADDRINUSE) { // somebody was faster
                return End.connect(path);
            }
            throw e;
        }
    }

    /// Nobody listens there any more; but what is no socket is somebody's.
    private static void deleteSocket(Path path) throws IOException {
        var kind = Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        if (!kind.isOther()) {
            throw new FileAlreadyExistsException(path.toString(), null, "is no socket");
        }
        Files.delete(path);
    }

    @Nullable Fd listener() {
        return listener;
    }

    void connected() {
        LOG.log(Level.INFO, "{0}: connected", name);
    }

    /// Looks for another end where there was one. By who receives.
    ///
    /// @return the connection; null if somebody is to come, or nobody any more
    @Nullable Fd disconnected(String why) {
        if (listener != null) {
            LOG.log(Level.WARNING, "{0}: {1}; the link is down until the next comes", name, why);
            return null;
        }
        boolean isShort = System.nanoTime() - joined < SHORT_STAY.toNanos();
        shortStays = isShort ? shortStays + 1 : 0;
        if (path == null || shortStays > MAX_SHORT_STAYS) {
            LOG.log(Level.WARNING, "{0}: {1}; the link stays down", name, why);
            return null;
        }
        LOG.log(Level.WARNING, "{0}: {1}", name, why);
        return rejoin(path);
    }

    private @Nullable Fd rejoin(Path where) {
        try {
            Thread.sleep(REJOIN_DELAY);
            End end = join(where, REJOIN_LIMIT);
            joined = System.nanoTime();
            listener = end.listener;
            return end.connection;
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        } catch (IOException e) {
            LOG.log(Level.WARNING, "{0}: {1}; the link stays down", name, e.getMessage());
        }
        return null;
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
        Fd end = listener;
        if (path != null && end != null) {
            try {
                Files.deleteIfExists(path); // while it is this one's still
            } catch (IOException e) {
                LOG.log(Level.WARNING, "cannot delete {0}: {1}", path, e.toString());
            }
            end.close();
        }
    }
}
