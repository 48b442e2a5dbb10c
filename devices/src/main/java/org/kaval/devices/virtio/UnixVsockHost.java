package org.kaval.devices.virtio;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Epoll;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.IoVector;
import org.kaval.linux.SocketPath;
import org.kaval.linux.UnixSocket;

/// The host's ends as Unix sockets: clients come to a path, and what the guest connects to listens
/// at the same path with `_` and the port behind it.
///
/// {@link #close} may be called by any thread when the others are through; the rest by one.
final class UnixVsockHost implements VsockHost, AutoCloseable {
    private static final int EVENTS = Epoll.IN | Epoll.OUT | Epoll.END_OF_INPUT | Epoll.EDGE;
    private static final String LONGEST_PORT = "_4294967295";
    private static final Logger LOG = System.getLogger(UnixVsockHost.class.getName());

    private final Path path;
    private final Epoll epoll;
    private final Fd listener;
    private boolean failed; // is said once

    private UnixVsockHost(Path path, Epoll epoll, Fd listener) {
        this.path = path;
        this.epoll = epoll;
        this.listener = listener;
    }

    /// Listens at `path`, for its owner only. A socket that nobody listens at any more is replaced.
    ///
    /// @param epoll watches for clients, with `token`, and streams; it stays the caller's
    static UnixVsockHost open(Path path, Epoll epoll, long token) throws IOException {
        if (SocketPath.length(path) + LONGEST_PORT.length() > UnixSocket.MAX_PATH) {
            throw new IOException(
                    "%s: a socket's path has at most %d bytes, with a port behind it"
                            .formatted(path, UnixSocket.MAX_PATH));
        }
        Fd listener = SocketPath.listen(path);
        var host = new UnixVsockHost(path, epoll, listener);
        boolean done = false;
        try {
            epoll.add(listener, Epoll.IN | Epoll.EDGE, token);
            done = true;
            return host;
        } finally {
            if (!done) {
                host.close();
            }
        }
    }

    @Override
    public @Nullable HostStream connect(int port) {
        Path target = Path.of(path + "_" + Integer.toUnsignedString(port));
        try {
            return new Stream(UnixSocket.connect(target));
        } catch (ErrnoException _) {
            return null; // nobody listens, or more clients wait than are let wait there
        }
    }

    @Override
    public @Nullable HostStream accept() {
        try {
            Fd client = UnixSocket.accept(listener);
            return client == null ? null : new Stream(client);
        } catch (ErrnoException e) {
            if (!failed) {
                failed = true;
                LOG.log(Level.WARNING, "no more connections for now: {0}", e.getMessage());
            }
            return null;
        }
    }

    @Override
    public void close() {
        try {
            Files.deleteIfExists(path); // while it is this one's still
        } catch (IOException e) {
            LOG.log(Level.WARNING, "{0}", e.getMessage());
        }
        listener.close();
    }

    /// Watched for edges, so that nothing has to be changed about it while data goes through.
    private final class Stream implements HostStream {
        private final Fd fd;

        Stream(Fd fd) {
            this.fd = fd;
        }

        @Override
        public void watch(long token) throws ErrnoException {
            epoll.add(fd, EVENTS, token);
        }

        @Override
        public long read(IoVector into, long length) throws ErrnoException {
            return fd.readv(into, 0, length);
        }

        @Override
        public long write(IoVector source, long from, long length) throws ErrnoException {
            return Math.max(0, fd.writev(source, from, length));
        }

        @Override
        public void endWriting() {
            UnixSocket.endWriting(fd);
        }

        @Override
        public void endReading() {
            UnixSocket.endReading(fd);
        }

        @Override
        public void close() {
            fd.close();
        }
    }
}
