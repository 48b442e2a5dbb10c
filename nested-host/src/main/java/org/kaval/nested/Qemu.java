package org.kaval.nested;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
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
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// One QEMU process, its two sockets and its console.
///
/// The process dies with this one, however this one ends: the kernel kills it when the thread that
/// started it is gone (`PR_SET_PDEATHSIG`), and that thread lives as long as the process. The
/// sockets' folder is removed as soon as QEMU has connected, so nothing stays behind either.
final class Qemu implements Closeable {
    static final String PROGRAM = "qemu-system-x86_64";
    private static final Duration CONNECT = Duration.ofSeconds(30);
    private static final int POLL_MILLIS = 2;

    private static final ExecutorService STARTER =
            Executors.newSingleThreadExecutor(
                    task -> Thread.ofPlatform().daemon().name("qemu-starter").unstarted(task));

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
        var command = new ArrayList<String>(List.of("setpriv", "--pdeathsig", "KILL", PROGRAM));
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
        var builder =
                new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectInput(Path.of("/dev/null").toFile());
        try {
            return STARTER.submit(builder::start).get();
        } catch (ExecutionException e) {
            throw new NestedHostException(
                    "setpriv is missing: apt-get install util-linux", e.getCause());
        } catch (InterruptedException e) {
            throw interrupted(e);
        }
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

    /// Reads what the guest's console and QEMU itself print, on a thread of its own.
    private static final class Console {
        private static final int KEPT = 64 << 10;
        private static final String PANIC = "Kernel panic - not syncing: ";

        private final StringBuilder text = new StringBuilder(); // guarded by this
        private final Thread reader;

        Console(InputStream in, @Nullable OutputStream log) {
            reader =
                    Thread.ofPlatform()
                            .daemon()
                            .name("nested-host-console")
                            .start(() -> read(in, log));
        }

        private void read(InputStream in, @Nullable OutputStream log) {
            byte[] chunk = new byte[4096];
            try {
                for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
                    add(new String(chunk, 0, n, StandardCharsets.ISO_8859_1));
                    if (log != null) {
                        log.write(chunk, 0, n);
                        log.flush();
                    }
                }
            } catch (IOException e) {
                add("\nconsole: " + e.getMessage() + "\n");
            }
        }

        private synchronized void add(String more) {
            text.append(more);
            if (text.length() > KEPT) {
                text.delete(0, text.length() - KEPT);
            }
        }

        void awaitEnd() throws InterruptedException {
            reader.join(1000);
        }

        synchronized String text() {
            return text.toString();
        }

        @Nullable String panic() {
            String all = text();
            int at = all.indexOf(PANIC);
            return at < 0
                    ? null
                    : all.substring(at + PANIC.length()).lines().findFirst().orElse("").strip();
        }

        String lastLine() {
            return text().lines()
                    .map(String::strip)
                    .filter(line -> !line.isEmpty() && !line.endsWith("reboot: Power down"))
                    .reduce((_, last) -> "last line of its console: " + last)
                    .orElse("its console is empty");
        }
    }
}
