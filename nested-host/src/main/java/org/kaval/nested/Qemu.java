package org.kaval.nested;

import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// One QEMU process, its two sockets and its console.
///
/// The process dies with this one, however this one ends. The sockets' folder is removed as soon as
/// QEMU has connected, so nothing stays behind either.
final class Qemu implements Closeable {
    static final String PROGRAM = "qemu-system-x86_64";
    private static final Duration CONNECT = Duration.ofSeconds(30);
    private static final int POLL_MILLIS = 2;

    private final Process process;
    private final Console console;
    private final SocketChannel channel;
    private final Qmp monitor;

    private Qemu(Process process, Console console, SocketChannel channel, Qmp monitor) {
        this.process = process;
        this.console = console;
        this.channel = channel;
        this.monitor = monitor;
    }

    /// The version as `qemu-system-x86_64 --version` tells it.
    static String version() throws IOException {
        try {
            Process process =
                    new ProcessBuilder(PROGRAM, "--version").redirectErrorStream(true).start();
            process.getOutputStream().close();
            return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new NestedHostException(
                    PROGRAM + " is missing: apt-get install qemu-system-x86", e);
        }
    }

    /// Starts QEMU and waits until it has connected.
    ///
    /// @param arguments without those for the console, the monitor and the channel
    /// @param log gets what the guest's console prints, also
    static Qemu start(List<String> arguments, @Nullable OutputStream log) throws IOException {
        Path folder = Files.createTempDirectory("kaval-nested-");
        try (var channels = listen(folder.resolve("channel"));
                var monitors = listen(folder.resolve("monitor"))) {
            Process process = launch(command(arguments, folder));
            boolean connected = false;
            try {
                var console = new Console(process.getInputStream(), log);
                Qmp monitor = new Qmp(accept(monitors, process, console));
                SocketChannel channel = accept(channels, process, console);
                connected = true;
                return new Qemu(process, console, channel, monitor);
            } finally {
                if (!connected) {
                    process.destroyForcibly();
                }
            }
        } finally {
            Files.deleteIfExists(folder.resolve("channel"));
            Files.deleteIfExists(folder.resolve("monitor"));
            Files.deleteIfExists(folder);
        }
    }

    SocketChannel channel() {
        return channel;
    }

    Qmp monitor() {
        return monitor;
    }

    /// Why the process has ended, or that it has not; as far as its console tells.
    String epitaph() {
        try {
            if (!process.waitFor(1, TimeUnit.SECONDS)) {
                return "it does not answer; " + console.lastLine();
            }
            console.awaitEnd();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return console.panic() != null
                ? "kernel panic: " + console.panic()
                : "QEMU ended with status %d; %s"
                        .formatted(process.exitValue(), console.lastLine());
    }

    /// What the guest's console has printed, its end if it was much.
    String consoleText() {
        return console.text();
    }

    boolean isAlive() {
        return process.isAlive();
    }

    /// Waits until it has ended by itself.
    void awaitEnd() throws IOException {
        try {
            if (!process.waitFor(CONNECT.toSeconds(), TimeUnit.SECONDS)) {
                throw new NestedHostException("QEMU does not end");
            }
        } catch (InterruptedException e) {
            throw interrupted(e);
        }
    }

    /// Kills it.
    @Override
    public void close() throws IOException {
        process.destroyForcibly();
        monitor.close();
        channel.close();
        try {
            process.waitFor();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt(); // SIGKILL needs nobody who waits
        }
    }

    private static List<String> command(List<String> arguments, Path folder) {
        var command = new ArrayList<String>(List.of(PROGRAM));
        command.addAll(arguments);
        command.addAll(
                List.of(
                        "-chardev", "stdio,id=console,signal=off",
                        "-serial", "chardev:console",
                        "-chardev", "socket,id=monitor,path=" + folder.resolve("monitor"),
                        "-mon", "chardev=monitor,mode=control",
                        "-chardev", "socket,id=channel,path=" + folder.resolve("channel"),
                        "-device", "virtio-serial-pci",
                        "-device", "virtserialport,chardev=channel,name=org.kaval.agent"));
        return command;
    }

    private static Process launch(List<String> command) throws IOException {
        return Children.start(
                new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectInput(Path.of("/dev/null").toFile()));
    }

    private static ServerSocketChannel listen(Path path) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(path), 1);
        server.configureBlocking(false);
        return server;
    }

    private static SocketChannel accept(
            ServerSocketChannel server, Process process, Console console) throws IOException {
        long end = System.nanoTime() + CONNECT.toNanos();
        while (System.nanoTime() < end) {
            SocketChannel channel = server.accept();
            if (channel != null) {
                return channel;
            }
            try {
                if (process.waitFor(POLL_MILLIS, TimeUnit.MILLISECONDS)) {
                    console.awaitEnd();
                    throw new NestedHostException("QEMU does not start: " + console.lastLine());
                }
            } catch (InterruptedException e) {
                throw interrupted(e);
            }
        }
        throw new NestedHostException("QEMU has not connected in " + CONNECT.toSeconds() + " s");
    }

    private static NestedHostException interrupted(InterruptedException cause) {
        Thread.currentThread().interrupt();
        return new NestedHostException("interrupted while QEMU was starting", cause);
    }
}
