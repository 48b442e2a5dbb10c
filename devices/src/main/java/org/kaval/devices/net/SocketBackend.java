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
import org.kaval.linux.FileLock;
import org.kaval.linux.UnixSocket;

/// Frames over a Unix stream socket, each behind its length in four bytes, the highest first: what
/// QEMU's `-netdev stream` and passt speak. Joins two guests, or a guest and a program.
///
/// Whoever comes first listens, and the second connects. When the other one goes, the link is down
/// until the next comes; one that was connected stays without then.
public final class SocketBackend implements NetBackend {
    private static final Logger LOG = System.getLogger(SocketBackend.class.getName());

    /// Nobody needs the folder for as long; but whoever can read it can lock it.
    private static final Duration FOLDER_LIMIT = Duration.ofSeconds(10);

    private final String name;
    private final @Nullable Path path; // to delete
    private final @Nullable Fd listener;
    private final FrameStream stream;

    private SocketBackend(
            String name, @Nullable Path path, @Nullable Fd listener, @Nullable Fd connection) {
        this.name = name;
        this.path = path;
        this.listener = listener;
        this.stream = new FrameStream(this, connection);
    }

    /// Connects to who listens at `path`, or listens there if nobody does.
    ///
    /// @throws IOException if neither is possible
    public static SocketBackend open(Path path) throws IOException {
        return open(path, FOLDER_LIMIT);
    }

    /// @param limit for how long to wait for others that are about to do the same
    static SocketBackend open(Path path, Duration limit) throws IOException {
        try (Fd _ = lockFolder(path, limit)) {
            return openAlone(path);
        }
    }

    /// Between making a socket and listening there it looks as one that nobody listens at any more,
    /// which another would delete.
    ///
    /// @return null if this user cannot
    private static @Nullable Fd lockFolder(Path path, Duration limit) {
        Fd folder = null;
        boolean done = false;
        try {
            folder = Fd.open(path.resolveSibling("."), Fd.Access.READ);
            if (!FileLock.await(folder, limit)) {
                LOG.log(Level.WARNING, "{0}: somebody has locked its folder", path);
            }
            done = true;
            return folder;
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
            return null;
        } catch (ErrnoException _) {
            return null;
        } finally {
            if (!done && folder != null) {
                folder.close();
            }
        }
    }

    private static SocketBackend openAlone(Path path) throws IOException {
        try {
            return connect(path);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ECONNREFUSED) {
                deleteSocket(path);
            } else if (e.errno() != Errno.ENOENT) {
                throw e;
            }
        }
        try {
            return new SocketBackend(path.toString(), path, UnixSocket.listen(path), null);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                throw new NoSuchFileException(String.valueOf(path.toAbsolutePath().getParent()));
            }
            if (e.errno() == Errno.EADDRINUSE) { // somebody was faster
                return connect(path);
            }
            throw e;
        }
    }

    /// Connects to who listens at `path`.
    public static SocketBackend connect(Path path) throws ErrnoException {
        return new SocketBackend(path.toString(), null, null, UnixSocket.connect(path));
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

    void disconnected(String why) {
        LOG.log(
                Level.WARNING,
                listener != null
                        ? "{0}: {1}; the link is down until the next comes"
                        : "{0}: {1}; the link stays down",
                name,
                why);
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
        if (path != null) {
            try {
                Files.deleteIfExists(path); // while it is this one's still
            } catch (IOException e) {
                LOG.log(Level.WARNING, "cannot delete {0}: {1}", path, e.toString());
            }
        }
        if (listener != null) {
            listener.close();
        }
    }
}
