package org.kaval.machine;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.virtio.VirtioVsock;
import org.kaval.machine.boot.KernelBoot;
import org.kaval.testing.Effort;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Debian's unmodified kernel talks to its host over vsock, both ways, in one boot: what it does at
/// its ports is in `src/test/guest/vsock.c`.
@NeedsHardwareVirtualization
@Timeout(value = 40, unit = TimeUnit.MINUTES) // with full effort where all is emulated
@NeedsFiles(value = VsockGuests.FOLDER, madeBy = VsockGuests.class)
class LinuxVsockTest {
    /// The nested host takes some ten seconds.
    private static final Duration LIMIT = Duration.ofMinutes(4);

    // the guest's ports
    private static final int ECHO = 1;
    private static final int SOURCE = 2;
    private static final int SINK = 3;
    private static final int DEAF = 4;
    private static final int CALL = 5;
    private static final int QUIT = 6;

    // the host's
    private static final int READY = 9;
    private static final int ECHO_OF_HOST = 10;

    private static final int MANY = 200;
    private static final int BULK = Effort.amount(1 << 30, 12 << 20);
    private static final int BULK_THAT_WAITS = 12 << 20;
    private static final int CHUNK = 1 << 16;

    @TempDir private Path directory;
    private Path path = Path.of("");

    private ServerSocketChannel listenAt(int port) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(path + "_" + port), MANY);
        return server;
    }

    private SocketChannel connect(int port) throws IOException {
        SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(path));
        client.write(ByteBuffer.wrap("CONNECT %d\n".formatted(port).getBytes(ISO_8859_1)));
        return client;
    }

    /// Reads the line that says that it is connected, and nothing of what follows.
    private static SocketChannel connected(SocketChannel client) throws IOException {
        var line = new StringBuilder();
        var one = ByteBuffer.allocate(1);
        while (client.read(one.clear()) == 1 && one.get(0) != '\n') {
            line.append((char) one.get(0));
        }
        assertTrue(line.toString().matches("OK \\d+"), line.toString());
        return client;
    }

    private SocketChannel connected(int port) throws IOException {
        return connected(connect(port));
    }

    private static byte[] rest(SocketChannel from) throws IOException {
        return Channels.newInputStream(from).readAllBytes();
    }

    private static ByteBuffer number(long value) {
        return ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).flip();
    }

    private static long number(byte[] bytes) {
        assertEquals(8, bytes.length);
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
    }

    /// What both sides know of data in bulk.
    private static final class Data {
        private long state = 1;

        ByteBuffer chunk() {
            ByteBuffer chunk = ByteBuffer.allocate(CHUNK).order(ByteOrder.LITTLE_ENDIAN);
            while (chunk.hasRemaining()) {
                state ^= state << 13;
                state ^= state >>> 7;
                state ^= state << 17;
                chunk.putLong(state);
            }
            return chunk.flip();
        }
    }

    private static void write(SocketChannel to, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            to.write(bytes);
        }
    }

    private static void sendBulk(SocketChannel to) throws IOException {
        var data = new Data();
        for (int i = 0; i < BULK / CHUNK; i++) {
            write(to, data.chunk());
        }
        to.shutdownOutput();
    }

    private static void receiveBulk(SocketChannel from, int size) throws IOException {
        var data = new Data();
        var stream = Channels.newInputStream(from);
        for (int i = 0; i < size / CHUNK; i++) {
            assertArrayEquals(data.chunk().array(), stream.readNBytes(CHUNK), "chunk " + i);
        }
        assertEquals(-1, stream.read());
    }

    @Test
    void linuxAndItsHostTalkToEachOther() throws Exception {
        path = directory.resolve("v");
        var console = new ByteArrayOutputStream();
        try (ServerSocketChannel ready = listenAt(READY);
                ServerSocketChannel echo = listenAt(ECHO_OF_HOST);
                Vm vm =
                        Vm.builder()
                                .cpus(2)
                                .memory(256L << 20)
                                .boot(
                                        KernelBoot.of(VsockGuests.kernel())
                                                .initrd(VsockGuests.initrd())
                                                .commandLine(
                                                        "console=ttyS0 quiet panic=-1 cryptomgr.notests"))
                                .serialOutput(console)
                                .device(Virtio.pci(VirtioVsock.open("virtio-vsock0", 42, path)))
                                .build()) {
            vm.start();
            try (SocketChannel first = ready.accept()) {
                assertEquals("ready", new String(rest(first), ISO_8859_1));
            }
            manyClientsAtOnce();
            bulkPassesThoseThatDoNotRead();
            manyCallsOfTheGuestAtOnce(echo);
            connected(QUIT).close();
            assertEquals(
                    new VmOutcome.PoweredOff(), vm.awaitExit(LIMIT), console.toString(ISO_8859_1));
        }
        assertTrue(!console.toString(ISO_8859_1).contains("complaint"), console::toString);
    }

    /// All are connected before the first says anything, and each ends its direction only.
    private void manyClientsAtOnce() throws IOException {
        List<SocketChannel> clients = new ArrayList<>();
        for (int i = 0; i < MANY; i++) {
            clients.add(connect(ECHO));
        }
        for (int i = 0; i < MANY; i++) {
            connected(clients.get(i)).write(ByteBuffer.wrap(message(i).getBytes(ISO_8859_1)));
            clients.get(i).shutdownOutput();
        }
        for (int i = 0; i < MANY; i++) {
            assertEquals(message(i) + "bye", new String(rest(clients.get(i)), ISO_8859_1));
            clients.get(i).close();
        }
    }

    private static String message(int number) {
        return "message " + number + ",".repeat(number);
    }

    private void bulkPassesThoseThatDoNotRead() throws IOException {
        try (SocketChannel deafGuest = connected(DEAF);
                SocketChannel deafHost = connected(SOURCE)) {
            // a little more than the guest has room for, which nobody reads there
            write(deafGuest, ByteBuffer.allocate(320 << 10));
            deafHost.write(number(BULK_THAT_WAITS));

            try (SocketChannel sink = connected(SINK)) {
                sendBulk(sink);
                assertEquals(BULK, number(rest(sink)));
            }
            try (SocketChannel source = connected(SOURCE)) {
                source.write(number(BULK));
                receiveBulk(source, BULK);
            }
            receiveBulk(deafHost, BULK_THAT_WAITS); // from now on it reads
        }
    }

    private void manyCallsOfTheGuestAtOnce(ServerSocketChannel echo) throws IOException {
        try (SocketChannel call = connected(CALL)) {
            List<SocketChannel> callers = new ArrayList<>();
            for (int i = 0; i < MANY; i++) {
                callers.add(echo.accept());
            }
            for (SocketChannel caller : callers) {
                caller.write(ByteBuffer.wrap(rest(caller)));
                caller.close();
            }
            assertEquals(MANY, number(rest(call)));
        }
    }
}
