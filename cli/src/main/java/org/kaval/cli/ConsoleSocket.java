package org.kaval.cli;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.IOException;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Fd;
import org.kaval.linux.SocketPath;
import org.kaval.machine.Vm;

/// A guest's console on a Unix socket. Any number of clients may be connected: each gets the last
/// 64 KiB of output and then all that follows, and what any of them sends is typed.
///
/// Nobody waits for a client: one that is more than 1 MiB behind misses some, and is told how much.
/// Any thread (guarded by this).
final class ConsoleSocket implements AutoCloseable {
    private static final int KEPT = 1 << 20;
    private static final int REPLAYED = 64 << 10;
    private static final int CHUNK = 16 << 10;

    /// How long the last output waits for clients that do not read.
    private static final Duration DRAIN_LIMIT = Duration.ofSeconds(2);

    private final Path path;
    private final ServerSocketChannel server;
    private final ConsoleLog log;
    private final Map<SocketChannel, Thread> senders = new HashMap<>();
    private final Set<SocketChannel> typists = new HashSet<>();
    private final byte[] kept = new byte[KEPT];
    private long written;
    private boolean closed;
    private @Nullable Vm guest;

    private ConsoleSocket(Path path, ServerSocketChannel server, ConsoleLog log) {
        this.path = path;
        this.server = server;
        this.log = log;
    }

    /// Listens at `path`, for its owner only. A socket that nobody listens at any more is replaced.
    ///
    /// @param log gets all that the guest writes; it is closed with the socket
    static ConsoleSocket open(Path path, ConsoleLog log) throws IOException {
        try (Fd _ = SocketPath.lockFolder(path)) {
            SocketPath.clear(path);
            return openAlone(path, log);
        }
    }

    private static ConsoleSocket openAlone(Path path, ConsoleLog log) throws IOException {
        Path folder = Files.createTempDirectory(path.toAbsolutePath().getParent(), ".kaval");
        try {
            // nobody else can get at it before it has its permissions
            Path hidden = folder.resolve("s");
            ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            try {
                server.bind(UnixDomainSocketAddress.of(hidden));
                Files.setPosixFilePermissions(hidden, PosixFilePermissions.fromString("rw-------"));
                Files.move(hidden, path);
            } catch (IOException e) {
                server.close();
                Files.deleteIfExists(hidden);
                throw e;
            }
            var socket = new ConsoleSocket(path, server, log);
            Thread.ofPlatform().name("console-socket").daemon().start(socket::accept);
            return socket;
        } finally {
            Files.delete(folder);
        }
    }

    /// Where the guest's output goes.
    OutputStream output() {
        return new OutputStream() {
            @Override
            public void write(int value) {
                write(new byte[] {(byte) value}, 0, 1);
            }

            @Override
            public void write(byte[] bytes, int from, int count) {
                keep(bytes, from, count);
            }
        };
    }

    /// Says which guest gets the input from now on.
    synchronized void input(Vm vm) {
        guest = vm;
        notifyAll();
    }

    /// Sends what is left, and hangs up.
    @Override
    public void close() {
        List<Thread> sending;
        Set<SocketChannel> open;
        synchronized (this) {
            closed = true;
            notifyAll();
            sending = List.copyOf(senders.values());
            open = new HashSet<>(typists);
            open.addAll(senders.keySet());
            log.close();
        }
        try {
            server.close();
            Files.deleteIfExists(path);
        } catch (IOException e) {
            System.err.println("kaval: console: " + e.getMessage());
        }
        long end = System.nanoTime() + DRAIN_LIMIT.toNanos();
        try {
            for (Thread sender : sending) {
                sender.join(Duration.ofNanos(Math.max(1, end - System.nanoTime())));
            }
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
        open.forEach(ConsoleSocket::hangUp);
    }

    private synchronized void keep(byte[] bytes, int from, int count) {
        for (int i = 0; i < count; i++) {
            kept[(int) (written++ % KEPT)] = bytes[from + i];
        }
        log.write(bytes, from, count);
        notifyAll();
    }

    private void accept() {
        try {
            while (true) {
                SocketChannel client = server.accept();
                Thread sender = Thread.ofVirtual().unstarted(() -> send(client));
                synchronized (this) {
                    senders.put(client, sender);
                    typists.add(client);
                }
                sender.start();
                Thread.ofVirtual().start(() -> receive(client));
            }
        } catch (ClosedChannelException _) {
            // that is how it ends
        } catch (IOException e) {
            System.err.println("kaval: console: no more connections: " + e.getMessage());
        }
    }

    private void send(SocketChannel client) {
        byte[] chunk = new byte[CHUNK];
        long position;
        synchronized (this) {
            position = Math.max(0, written - REPLAYED);
        }
        try {
            while (true) {
                long lost;
                int count;
                synchronized (this) {
                    while (position == written && !closed) {
                        wait();
                    }
                    lost = Math.max(0, written - KEPT - position);
                    position += lost;
                    count = (int) Math.min(CHUNK, written - position);
                    for (int i = 0; i < count; i++) {
                        chunk[i] = kept[(int) ((position + i) % KEPT)];
                    }
                    position += count;
                }
                if (lost > 0) {
                    String note = "\r\n[kaval: %d bytes lost]\r\n".formatted(lost);
                    write(client, ByteBuffer.wrap(note.getBytes(US_ASCII)));
                }
                if (count == 0) {
                    break; // closed, and all has gone out
                }
                write(client, ByteBuffer.wrap(chunk, 0, count));
            }
        } catch (IOException _) {
            if (watchesNoMore(client)) {
                return; // it may have left something that is still to be typed
            }
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
        forget(client);
    }

    private static void write(SocketChannel client, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            client.write(bytes);
        }
    }

    private void receive(SocketChannel client) {
        byte[] bytes = new byte[CHUNK];
        try {
            for (int count = client.read(ByteBuffer.wrap(bytes));
                    count >= 0;
                    count = client.read(ByteBuffer.wrap(bytes))) {
                Vm vm = awaitGuest();
                if (vm == null) {
                    return;
                }
                vm.typeSerialAll(bytes, 0, count);
            }
            if (typesNoMore(client)) {
                return; // it may still watch
            }
            forget(client);
        } catch (IOException _) {
            forget(client);
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    /// @return null if none came before the end
    private synchronized @Nullable Vm awaitGuest() throws InterruptedException {
        while (guest == null && !closed) {
            wait();
        }
        return guest;
    }

    /// @return whether the other direction is still open
    private synchronized boolean watchesNoMore(SocketChannel client) {
        senders.remove(client);
        return typists.contains(client);
    }

    /// @return whether the other direction is still open
    private synchronized boolean typesNoMore(SocketChannel client) {
        typists.remove(client);
        return senders.containsKey(client);
    }

    private void forget(SocketChannel client) {
        synchronized (this) {
            senders.remove(client);
            typists.remove(client);
        }
        hangUp(client);
    }

    private static void hangUp(SocketChannel client) {
        try {
            client.close();
        } catch (IOException e) {
            System.err.println("kaval: console: " + e.getMessage());
        }
    }
}
