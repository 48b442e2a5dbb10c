package org.kaval.linux;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/// Unix sockets at paths that may have been used before.
///
/// Any thread.
public final class SocketPath {
    private static final Logger LOG = System.getLogger(SocketPath.class.getName());

    /// Nobody needs a folder for as long; but whoever can read it can lock it.
    private static final Duration FOLDER_LIMIT = Duration.ofSeconds(2);

    private SocketPath() {}

    /// How many bytes `path` has as the name of a socket; {@link UnixSocket#MAX_PATH} at most are
    /// possible.
    public static int length(Path path) {
        return path.toString().getBytes(StandardCharsets.UTF_8).length;
    }

    /// Listens at `path`, for its owner only. A socket that nobody listens at any more is replaced.
    ///
    /// @throws FileAlreadyExistsException if somebody listens there, or it is no socket
    /// @throws NoSuchFileException if there is no such folder
    public static Fd listen(Path path) throws IOException {
        try (Fd _ = lockFolder(path)) {
            return listenAlone(path);
        }
    }

    /// As {@link #listen}, by who has locked the folder.
    public static Fd listenAlone(Path path) throws IOException {
        try {
            return UnixSocket.listen(path);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                throw new NoSuchFileException(String.valueOf(path.toAbsolutePath().getParent()));
            }
            if (e.errno() != Errno.EADDRINUSE) {
                throw e;
            }
        }
        clear(path);
        return UnixSocket.listen(path);
    }

    /// Deletes a socket that nobody listens at any more. By who has locked the folder.
    ///
    /// @throws FileAlreadyExistsException if somebody listens there, or it is no socket
    public static void clear(Path path) throws IOException {
        try {
            if (!Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS)
                    .isOther()) {
                throw new FileAlreadyExistsException(
                        path.toString(), null, "is there, and no socket");
            }
        } catch (NoSuchFileException _) {
            return;
        }
        if (isInUse(path)) {
            throw new FileAlreadyExistsException(path.toString(), null, "is in use");
        }
        Files.deleteIfExists(path);
    }

    private static boolean isInUse(Path path) throws ErrnoException {
        try (Fd _ = UnixSocket.connect(path)) {
            return true;
        } catch (ErrnoException e) {
            return switch (e.errno()) {
                case Errno.ECONNREFUSED, Errno.ENOENT -> false;
                case Errno.EAGAIN -> true; // by more than it takes in
                default -> throw e;
            };
        }
    }

    /// Locks the folder of `path` for who is about to listen there: between {@link
    /// UnixSocket#listen}'s making a socket and listening it looks as one that nobody listens at
    /// any more, which another would delete.
    ///
    /// @return is closed when it is done; null if this user cannot lock it, or nobody could in two
    ///   seconds, which is logged
    public static @Nullable Fd lockFolder(Path path) {
        return lockFolder(path, FOLDER_LIMIT);
    }

    /// @param limit for how long to wait for others that are about to do the same
    public static @Nullable Fd lockFolder(Path path, Duration limit) {
        Fd folder = null;
        boolean locked = false;
        try {
            folder = Fd.open(path.resolveSibling("."), Fd.Access.READ);
            locked = FileLock.await(folder, limit);
            if (!locked) {
                LOG.log(Level.WARNING, "{0}: somebody has locked its folder", path);
            }
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        } catch (ErrnoException e) {
            LOG.log(Level.DEBUG, "{0}: {1}", path, e.getMessage());
        } finally {
            if (!locked && folder != null) {
                folder.close();
            }
        }
        return locked ? folder : null;
    }
}
