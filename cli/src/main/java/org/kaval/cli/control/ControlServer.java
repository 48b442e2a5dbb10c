package org.kaval.cli.control;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.unixdomain.server.UnixDomainServerConnector;
import org.eclipse.jetty.util.thread.QueuedThreadPool;
import org.jspecify.annotations.Nullable;

/// HTTP on a Unix socket, for its owner only. It starts in a thread of its own (`api-start`), so
/// that nobody waits for it; its threads are daemons (`api-N`).
final class ControlServer implements AutoCloseable {
    private static final Logger LOG = System.getLogger(ControlServer.class.getName());
    private static final int THREADS = 8; // two listen, and three may wait for a guest
    private static final Duration IDLE = Duration.ofSeconds(60);

    private final Path socket;
    private final ControlApi api;
    private @Nullable Server server; // guarded by this
    private boolean closed; // guarded by this

    private ControlServer(Path socket, ControlApi api) {
        this.socket = socket;
        this.api = api;
    }

    /// Begins to start one; requests are answered soon.
    static ControlServer start(Path socket, ControlApi api) {
        var control = new ControlServer(socket, api);
        Thread.ofPlatform().name("api-start").daemon().start(control::serve);
        return control;
    }

    private synchronized void serve() {
        if (closed) {
            return;
        }
        var threads = new QueuedThreadPool(THREADS, 1);
        threads.setName("api");
        threads.setDaemon(true);
        var made = new Server(threads);
        var configuration = new HttpConfiguration();
        configuration.setSendServerVersion(false);
        var connector =
                new UnixDomainServerConnector(made, 1, 1, new HttpConnectionFactory(configuration));
        connector.setIdleTimeout(IDLE.toMillis());
        made.addConnector(connector);
        made.setHandler(api);
        try {
            // nobody else can get at it before it has its permissions: the folder is its owner's
            Path hidden = socket.resolveSibling("api.new");
            Files.deleteIfExists(hidden);
            connector.setUnixDomainPath(hidden);
            made.start();
            Files.setPosixFilePermissions(hidden, PosixFilePermissions.fromString("rw-------"));
            Files.move(hidden, socket);
            server = made;
        } catch (Exception e) { // what Jetty's start declares
            LOG.log(Level.ERROR, "no API: {0}", e);
        }
    }

    /// Ends it; what is asked at this moment may get no answer.
    @Override
    public synchronized void close() {
        closed = true;
        if (server != null) {
            try {
                server.stop();
                Files.deleteIfExists(socket);
            } catch (IOException e) {
                LOG.log(Level.WARNING, "{0}", e.getMessage());
            } catch (Exception e) { // what Jetty's stop declares
                LOG.log(Level.WARNING, "the API does not stop: {0}", e);
            }
        }
    }
}
