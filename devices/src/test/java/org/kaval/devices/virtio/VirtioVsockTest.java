package org.kaval.devices.virtio;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.devices.virtio.VsockHeader.OP_REQUEST;
import static org.kaval.devices.virtio.VsockHeader.OP_RESPONSE;
import static org.kaval.devices.virtio.VsockHeader.OP_RST;
import static org.kaval.devices.virtio.VsockHeader.OP_RW;
import static org.kaval.devices.virtio.VsockHeader.OP_SHUTDOWN;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.Host;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.VsockGuest.Packet;

/// The device with its thread and the host's sockets, whose other ends are Java's own.
class VirtioVsockTest {
    private static final int PORT = 52;
    private static final int GUEST_PORT = 1024;

    @TempDir private Path directory;
    private Path path = Path.of("");
    private VsockGuest guest;

    @BeforeEach
    void open() throws IOException {
        path = directory.resolve("v");
        guest = new VsockGuest(VirtioVsock.open("vsock", VsockGuest.CID, path));
        guest.give(64);
    }

    @AfterEach
    void close() {
        guest.close();
    }

    private SocketChannel client() throws IOException {
        return SocketChannel.open(UnixDomainSocketAddress.of(path));
    }

    private ServerSocketChannel listenAt(int port) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(path + "_" + port));
        return server;
    }

    private SocketChannel connectFromGuest(ServerSocketChannel server) throws IOException {
        guest.send(Packet.of(OP_REQUEST, GUEST_PORT, PORT));
        assertEquals("52>1024 RESPONSE", guest.await().brief());
        return server.accept();
    }

    private static void write(SocketChannel to, byte[] bytes) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        while (buffer.hasRemaining()) {
            to.write(buffer);
        }
    }

    private static String read(SocketChannel from, int count) throws IOException {
        return new String(Channels.newInputStream(from).readNBytes(count), ISO_8859_1);
    }

    @Test
    void clientTalksToTheGuest() throws IOException {
        try (SocketChannel client = client()) {
            write(client, "CONNECT 7\nhello".getBytes(ISO_8859_1));
            Packet request = guest.await();
            int port = request.fromPort();
            assertEquals(port + ">7 REQUEST", request.brief());
            guest.send(Packet.of(OP_RESPONSE, 7, port));
            assertEquals(port + ">7 RW hello", guest.await().brief());
            guest.send(Packet.of(OP_RW, 7, port, "answer"));

            String greeting = "OK " + port + "\n";
            assertEquals(greeting + "answer", read(client, greeting.length() + 6));
            client.shutdownOutput();
            assertEquals(port + ">7 SHUTDOWN 2", guest.await().brief());
            guest.send(Packet.of(OP_SHUTDOWN, 7, port).withFlags(3));
            assertEquals("", read(client, 1), "the end");
        }
    }

    @Test
    void guestTalksToWhoeverListens() throws IOException {
        guest.send(Packet.of(OP_REQUEST, GUEST_PORT, PORT));
        assertEquals("52>1024 RST", guest.await().brief());
        try (ServerSocketChannel server = listenAt(PORT);
                SocketChannel accepted = connectFromGuest(server)) {
            guest.send(Packet.of(OP_RW, GUEST_PORT, PORT, "hello"));
            assertEquals("hello", read(accepted, 5));
            write(accepted, "answer".getBytes(ISO_8859_1));
            assertEquals("52>1024 RW answer", guest.await().brief());
        }
        assertEquals("52>1024 SHUTDOWN 3", guest.await().brief());
    }

    @Test
    void megabytesArriveAsTheyWere() throws Exception {
        byte[] much = new byte[2 << 20];
        new Random(1).nextBytes(much);
        try (ServerSocketChannel server = listenAt(PORT);
                SocketChannel accepted = connectFromGuest(server)) {
            Thread writer =
                    Thread.ofVirtual()
                            .start(() -> {
                                try {
                                    write(accepted, much);
                                } catch (IOException e) {
                                    throw new AssertionError(e);
                                }
                            });
            var arrived = new ByteArrayOutputStream();
            while (arrived.size() < much.length) {
                Packet next = guest.await();
                assertEquals(OP_RW, next.op());
                arrived.writeBytes(next.bytes());
            }
            writer.join();

            assertArrayEquals(much, arrived.toByteArray());
        }
    }

    @Test
    void hostThatDoesNotReadGetsAllOnceItDoes() throws Exception {
        byte[] much = new byte[VsockConnection.BUFFER];
        new Random(1).nextBytes(much);
        try (ServerSocketChannel server = listenAt(PORT);
                SocketChannel accepted = connectFromGuest(server)) {
            for (int at = 0; at < much.length; at += 0x2000) {
                byte[] some = Arrays.copyOfRange(much, at, at + 0x2000);
                guest.send(Packet.of(OP_RW, GUEST_PORT, PORT, some));
                DeviceDriver.until("it is through", () -> guest.through() > 0);
            }
            guest.send(Packet.of(OP_SHUTDOWN, GUEST_PORT, PORT).withFlags(3));

            assertEquals(new String(much, ISO_8859_1), read(accepted, much.length + 1));
        }
    }

    @Test
    void resetEndsConnectionsAndClientsWaitForTheNextDriver() throws IOException {
        try (ServerSocketChannel server = listenAt(PORT);
                SocketChannel accepted = connectFromGuest(server)) {
            guest.driver.control.setStatus(0);
            assertEquals("", read(accepted, 1), "the end");
            assertFalse(Host.hasThread("vsock"));
            try (SocketChannel client = client()) {
                write(client, "CONNECT 7\n".getBytes(ISO_8859_1));
                guest.begin();
                guest.give(4);
                assertEquals(OP_REQUEST, guest.await().op());
            }
            assertEquals(OP_RST, guest.await().op());
        }
    }

    @Test
    void guestThatBreaksTheRulesLosesItsConnections() throws IOException {
        try (ServerSocketChannel server = listenAt(PORT);
                SocketChannel accepted = connectFromGuest(server)) {
            guest.driver.submit(VsockGuest.FROM_GUEST, Buffer.toRead(DeviceDriver.DATA, 1));

            guest.driver.awaitNeedsReset();
            assertEquals("", read(accepted, 1), "the end");
        }
        guest.begin();
        guest.give(4);
        guest.send(Packet.of(OP_REQUEST, GUEST_PORT, PORT + 1));
        assertEquals("53>1024 RST", guest.await().brief());
    }

    @Test
    void restoredDeviceSaysThatConnectionsAreGone() {
        guest.driver.submit(VsockGuest.EVENTS, Buffer.toWrite(DeviceDriver.DATA, 4));
        guest.driver.control.hold();
        DeviceDriver.until("it is idle", () -> guest.driver.control.awaitIdle(0));
        guest.driver.control.restored();
        guest.driver.control.release();

        assertEquals(4, guest.driver.awaitUsed(VsockGuest.EVENTS, 1).getFirst().written());
    }

    @Test
    void guestReadsItsContextId() {
        assertEquals(VsockGuest.CID, guest.driver.control.readConfig(0, 8));
        assertEquals(0, guest.driver.control.readConfig(8, 8));
    }

    @Test
    void socketIsThereWhileTheDeviceIs() throws IOException {
        assertThrows(IOException.class, () -> VirtioVsock.open("other", 4, path), "in use");
        guest.close();
        assertFalse(Files.exists(path));
        open();
    }

    @Test
    void staleSocketIsReplacedAndNothingElse() throws IOException {
        Path stale = directory.resolve("stale");
        ServerSocketChannel.open(StandardProtocolFamily.UNIX)
                .bind(UnixDomainSocketAddress.of(stale))
                .close();
        assertThrows(
                ConnectException.class,
                () -> SocketChannel.open(UnixDomainSocketAddress.of(stale)));
        VirtioVsock.open("stale", 4, stale).close();
        Path file = Files.writeString(directory.resolve("file"), "text");
        var refused = assertThrows(IOException.class, () -> VirtioVsock.open("other", 4, file));

        assertTrue(String.valueOf(refused.getMessage()).contains("no socket"));
        assertEquals("text", Files.readString(file));
    }

    @Test
    void pathInAFolderThatIsNotThereIsRefused() {
        Path nowhere = directory.resolve("nowhere/v");

        assertThrows(NoSuchFileException.class, () -> VirtioVsock.open("other", 4, nowhere));
    }

    @Test
    void pathWithoutRoomForAPortIsRefused() {
        Path tooLong = Path.of("/tmp/" + "x".repeat(92));

        assertThrows(IOException.class, () -> VirtioVsock.open("other", 4, tooLong));
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, 0, 1, 2, 0xffff_ffffL, 0x1_0000_0003L})
    void idThatNoGuestHasIsRefused(long cid) {
        Path other = directory.resolve("other");

        assertThrows(IllegalArgumentException.class, () -> VirtioVsock.open("other", cid, other));
        assertFalse(Files.exists(other));
    }
}
