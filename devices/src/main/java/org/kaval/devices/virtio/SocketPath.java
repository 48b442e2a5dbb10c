package org.kaval.devices.virtio;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.UnixSocket;

/// Unix sockets at paths that may have been used before.
final class SocketPath {
    private SocketPath() {}

    /// How many bytes `path` has as the name of a socket.
    static int length(Path path) {
        return path.toString().getBytes(StandardCharsets.UTF_8).length;
    }

    /// Listens at `path`, for its owner only. A socket that nobody listens at any more is replaced.
    static Fd listen(Path path) throws IOException {
        try (Fd _ = UnixSocket.lockFolder(path, UnixSocket.FOLDER_LIMIT)) {
            return listenAlone(path);
        }
    }

    private static Fd listenAlone(Path path) throws IOException {
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
        if (!Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS)
                .isOther()) {
            throw new FileAlreadyExistsException(path.toString(), null, "is there, and no socket");
        }
        try (Fd _ = UnixSocket.connect(path)) {
            throw new FileAlreadyExistsException(path.toString(), null, "is in use");
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ECONNREFUSED) {
                throw e;
            }
        }
        Files.delete(path);
        return UnixSocket.listen(path);
    }
}
