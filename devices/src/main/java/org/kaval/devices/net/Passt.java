package org.kaval.devices.net;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ProcessBuilder.Redirect;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.HostUnsupportedException;

/// A network without privileges: passt(1), a process that is the guest's gateway, DHCP and DNS
/// server, and makes the guest's connections as its own, over IPv4 and IPv6.
///
/// It ends when its socket is closed, so not even a killed monitor leaves one behind.
public final class Passt implements NetBackend {
    private static final Logger LOG = System.getLogger(Passt.class.getName());
    private static final long START_NANOS = TimeUnit.SECONDS.toNanos(20);
    private static final int POLL_MILLIS = 2;
    private static final int SECONDS_TO_END = 5;
    private static final int MAX_PORT = 65_535;

    private final Process process;
    private final SocketBackend socket;
    private final CompletableFuture<Void> end;
    private volatile boolean closing;

    /// A port of the host's that leads to one of the guest's.
    ///
    /// @param address of the host's on which it is; empty for all
    public record Port(String address, int host, int guest, boolean udp) {
        public Port {
            if (host < 1 || host > MAX_PORT || guest < 1 || guest > MAX_PORT) {
                throw new IllegalArgumentException(
                        "ports are 1 to %d: %d, %d".formatted(MAX_PORT, host, guest));
            }
        }

        private String argument() {
            return (address.isEmpty() ? "" : address + "/") + host + ":" + guest;
        }
    }

    private Passt(Process process, SocketBackend socket) {
        this.process = process;
        this.socket = socket;
        this.end = process.onExit().thenAccept(ended -> report(ended.exitValue()));
    }

    private void report(int status) {
        if (!closing) {
            LOG.log(Level.WARNING, "passt has ended with status {0}: no network", status);
        }
    }

    /// Starts it.
    ///
    /// @param ports what of the host leads to the guest
    /// @throws HostUnsupportedException if it is not installed
    /// @throws IOException if it ends at once: with what it has said
    public static Passt start(List<Port> ports) throws IOException {
        Path directory = Files.createTempDirectory("kaval-net");
        Path path = directory.resolve("passt");
        Path output = directory.resolve("output");
        Process process = null;
        try {
            process = launch(command(path, ports), output);
            var started = new Passt(process, connect(path, process, output));
            process = null;
            return started;
        } finally {
            if (process != null) {
                process.destroyForcibly();
            }
            // it has been connected, and nobody else is to be
            Files.deleteIfExists(path);
            Files.deleteIfExists(output);
            Files.deleteIfExists(directory);
        }
    }

    private static List<String> command(Path path, List<Port> ports) throws IOException {
        var command = new ArrayList<String>();
        command.addAll(
                List.of(
                        "passt",
                        "--foreground",
                        "--one-off",
                        "--stderr",
                        "--quiet",
                        "--socket",
                        path.toString()));
        if ("0".equals(String.valueOf(Files.getAttribute(Path.of("/proc/self"), "unix:uid")))) {
            command.addAll(List.of("--runas", "0")); // "nobody" could not make the socket there
        }
        for (Port port : ports) {
            command.addAll(List.of(port.udp ? "--udp-ports" : "--tcp-ports", port.argument()));
        }
        return command;
    }

    private static Process launch(List<String> command, Path output) throws IOException {
        try {
            return new ProcessBuilder(command)
                    .redirectInput(Redirect.from(Path.of("/dev/null").toFile()))
                    .redirectErrorStream(true)
                    .redirectOutput(output.toFile())
                    .start();
        } catch (IOException e) {
            throw new HostUnsupportedException(
                    "passt cannot be started, which is the network of --net user; install the"
                            + " package passt: apt install passt",
                    e);
        }
    }

    private static SocketBackend connect(Path path, Process process, Path output)
            throws IOException {
        long deadline = System.nanoTime() + START_NANOS;
        while (true) {
            try {
                return SocketBackend.connect(path);
            } catch (ErrnoException e) {
                boolean early = e.errno() == Errno.ENOENT || e.errno() == Errno.ECONNREFUSED;
                if (!early || System.nanoTime() > deadline) {
                    throw e;
                }
            }
            if (await(process)) {
                throw new IOException(
                        "passt has ended with status %d: %s"
                                .formatted(process.exitValue(), said(output)));
            }
        }
    }

    private static boolean await(Process process) throws IOException {
        try {
            return process.waitFor(POLL_MILLIS, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while passt started", e);
        }
    }

    /// The last line that says something of the matter.
    private static String said(Path output) {
        try {
            return Files.readAllLines(output, StandardCharsets.ISO_8859_1).stream()
                    .filter(line -> !line.isBlank() && !line.contains("to syslog"))
                    .reduce((_, last) -> last.strip())
                    .orElse("it says nothing");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public int queues() {
        return socket.queues();
    }

    @Override
    public NetQueue queue(int index) {
        return socket.queue(index);
    }

    @Override
    public int offloads() {
        return socket.offloads();
    }

    @Override
    public boolean hasHeader() {
        return socket.hasHeader();
    }

    @Override
    public void onLink(Consumer<Boolean> listener) {
        socket.onLink(listener);
    }

    @Override
    public void close() {
        closing = true;
        socket.close();
        boolean ended = false;
        try {
            process.destroy();
            ended = process.waitFor(SECONDS_TO_END, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (!ended) {
            process.destroyForcibly();
        }
        end.cancel(false);
    }
}
