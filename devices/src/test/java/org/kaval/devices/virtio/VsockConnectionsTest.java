package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.devices.virtio.VsockHeader.OP_CREDIT_REQUEST;
import static org.kaval.devices.virtio.VsockHeader.OP_CREDIT_UPDATE;
import static org.kaval.devices.virtio.VsockHeader.OP_REQUEST;
import static org.kaval.devices.virtio.VsockHeader.OP_RESPONSE;
import static org.kaval.devices.virtio.VsockHeader.OP_RST;
import static org.kaval.devices.virtio.VsockHeader.OP_RW;
import static org.kaval.devices.virtio.VsockHeader.OP_SHUTDOWN;

import java.io.ByteArrayOutputStream;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.Host;
import org.kaval.devices.virtio.FakeVsockHost.Stream;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.VsockGuest.Packet;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.IoVector;

/// What guest and host tell each other, step by step, with streams that do what the test says.
class VsockConnectionsTest {
    private static final int PORT = 52; // of the host, mostly
    private static final int GUEST_PORT = 1024;
    private static final int BUFFER = VsockConnection.BUFFER;

    private final FakeVsockHost host = new FakeVsockHost();
    private final Stream stream = new Stream();
    private VsockGuest guest;
    private VsockConnections connections;

    @BeforeEach
    void begin() throws ErrnoException {
        guest = new VsockGuest(new IdleVsock());
        connections = new VsockConnections(VsockGuest.CID, guest.driver.control, host);
        guest.give(100);
    }

    @AfterEach
    void end() {
        connections.close();
        guest.close();
    }

    /// Until nothing is left to be done.
    private void settle() {
        int steps = 0;
        while (connections.step()) {
            assertTrue(++steps < 1000, "it does not come to an end");
        }
    }

    private void send(Packet packet) {
        guest.send(packet);
        settle();
    }

    private void send(int op, String data) {
        send(Packet.of(op, GUEST_PORT, PORT, data));
    }

    private void send(int op) {
        send(op, "");
    }

    private void ready(Stream which) {
        connections.ready(which.token, true, true, which.atEnd, false);
        settle();
    }

    private void hangUp(Stream which) {
        which.atEnd = true;
        which.writeFails = true;
        connections.ready(which.token, true, true, true, true);
        settle();
    }

    /// What has come for the guest, without the ports where these are the usual ones.
    private List<String> received() {
        return guest.receivedInBrief().stream().map(each -> each.replace("52>1024 ", "")).toList();
    }

    private void connect() {
        connect(stream, GUEST_PORT, 1 << 30);
    }

    private void connect(Stream to, int guestPort, int credit) {
        host.listeners.put(PORT, to);
        send(Packet.of(OP_REQUEST, guestPort, PORT).withCredit(credit, 0));
        List<Packet> answers = guest.received();
        assertEquals(1, answers.size());
        assertEquals(OP_RESPONSE, answers.getFirst().op());
        assertEquals(BUFFER, answers.getFirst().allocated());
    }

    private Stream client(String says) {
        Stream client = new Stream().with(says);
        host.clients.add(client);
        connections.clientsWait();
        settle();
        ready(client);
        return client;
    }

    // --- connecting ---

    @Test
    void guestConnectsAndBothSend() {
        connect();
        send(OP_RW, "to host");
        stream.with("to guest");
        ready(stream);

        assertEquals("to host", stream.takeWrittenText());
        assertEquals(List.of("RW to guest"), received());
        assertEquals(2, guest.through());
    }

    @Test
    void whoeverConnectsToNobodyIsReset() {
        send(OP_REQUEST);

        assertEquals(List.of("RST"), received());
    }

    @Test
    void clientSaysWhereToAndIsConnected() {
        Stream client = client("CONNECT 7\nfirst");
        int port = VsockConnections.FIRST_HOST_PORT;
        assertEquals(List.of(port + ">7 REQUEST"), guest.receivedInBrief());
        assertEquals("", client.takeWrittenText());

        send(Packet.of(OP_RESPONSE, 7, port));
        send(Packet.of(OP_RW, 7, port, "then"));

        assertEquals("OK 1073741824\nthen", client.takeWrittenText());
        assertEquals(List.of(port + ">7 RW first"), guest.receivedInBrief());
    }

    @Test
    void clientsOfOnePortAreKeptApart() {
        Stream one = client("CONNECT 7\n");
        Stream other = client("CONNECT 7\n");
        List<Packet> requests = guest.received();
        int second = requests.get(1).fromPort();
        send(Packet.of(OP_RESPONSE, 7, second));
        send(Packet.of(OP_RST, 7, requests.get(0).fromPort()));

        assertEquals("OK " + second + "\n", other.takeWrittenText());
        assertTrue(one.closed && !other.closed);
    }

    @Test
    void clientSaysItInPieces() {
        Stream client = client("CONN");
        client.with("ECT 42949672");
        ready(client);
        assertEquals(List.of(), guest.receivedInBrief());
        client.with("95\n");
        ready(client);

        assertEquals(-1, guest.received().getFirst().toPort());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "connect 7\n",
                "CONNECT\n",
                "CONNECT \n",
                "CONNECT x\n",
                "CONNECT -1\n",
                "CONNECT 7 \n",
                "CONNECT 4294967296\n",
                "CONNECT 99999999999999999999999999\n",
                "\n",
                "GET / HTTP/1.1\n"
            })
    void clientThatSaysSomethingElseIsClosed(String says) {
        Stream client = client(says);

        assertTrue(client.closed);
        assertEquals(List.of(), guest.receivedInBrief());
    }

    @Test
    void clientThatGoesBeforeTheAnswerIsTakenBack() {
        Stream client = client("CONNECT 7\n");
        hangUp(client);

        assertTrue(client.closed);
        assertEquals(List.of("1073741824>7 REQUEST", "1073741824>7 RST"), guest.receivedInBrief());
    }

    @Test
    void clientThatSaysNothingAndGoesLeavesNothing() {
        Stream client = client("CONN");
        hangUp(client);

        assertTrue(client.closed);
        assertEquals(List.of(), guest.receivedInBrief());
    }

    @Test
    void streamThatCannotBeWatchedIsReset() {
        stream.watchFails = true;
        host.listeners.put(PORT, stream);
        send(OP_REQUEST);

        assertTrue(stream.closed);
        assertEquals(List.of("RST"), received());
        Stream client = new Stream();
        client.watchFails = true;
        host.clients.add(client);
        connections.clientsWait();
        settle();
        assertTrue(client.closed);
    }

    // --- credit ---

    @Test
    void hostSendsNoMoreThanTheGuestHasCreditFor() {
        connect(stream, GUEST_PORT, 10);
        stream.with("0123456789abcdefghijklmno");
        ready(stream);
        assertEquals(List.of("RW 10", "CREDIT_REQUEST"), received());

        send(Packet.of(OP_CREDIT_UPDATE, GUEST_PORT, PORT).withCredit(10, 4));
        assertEquals(List.of("RW abcd", "CREDIT_REQUEST"), received());
        send(Packet.of(OP_CREDIT_UPDATE, GUEST_PORT, PORT).withCredit(10, 4));
        assertEquals(List.of(), received());
        send(Packet.of(OP_CREDIT_UPDATE, GUEST_PORT, PORT).withCredit(100, 14));
        assertEquals(List.of("RW 11"), received());
    }

    @ParameterizedTest
    @CsvSource({
        "-1, 0, RW data", // 4 GiB less a byte
        "0, 0, ''",
        "10, 1, ''", // more than has been sent
        "10, -1, RW data", // one byte is on its way, it says
        "10, -10, ''",
        "10, -2147483648, ''",
        "2147483647, 2147483647, ''",
        "-2147483648, -2147483647, RW d CREDIT_REQUEST"
    })
    void creditThatMakesNoSenseIsNone(int allocated, int read, String expected) {
        connect();
        stream.with("data");
        send(Packet.of(OP_CREDIT_UPDATE, GUEST_PORT, PORT).withCredit(allocated, read));
        ready(stream);

        assertEquals(expected, String.join(" ", received()));
    }

    @Test
    void guestThatSendsMoreThanItHasCreditForIsReset() {
        connect();
        stream.room = 0;
        byte[] most = new byte[0x3000];
        for (int i = 0; i < BUFFER / most.length; i++) {
            send(Packet.of(OP_RW, GUEST_PORT, PORT, most));
        }
        assertEquals(List.of(), received());
        send(Packet.of(OP_RW, GUEST_PORT, PORT, most));

        assertEquals(List.of("RST"), received());
        assertTrue(stream.closed);
        send(Packet.of(OP_RW, GUEST_PORT, PORT, most));
        assertEquals(List.of("RST"), received());
    }

    @Test
    void guestHearsOfWhatTheHostHasReadBeforeItHasToWait() {
        connect();
        byte[] some = new byte[0x2000];
        for (int i = 0; i < BUFFER / 2 / some.length; i++) {
            assertEquals(List.of(), received());
            send(Packet.of(OP_RW, GUEST_PORT, PORT, some));
        }

        assertEquals(List.of("CREDIT_UPDATE " + BUFFER / 2), received());
    }

    @Test
    void guestThatAsksForCreditIsTold() {
        connect();
        send(OP_RW, "abc");
        send(OP_CREDIT_REQUEST);

        assertEquals(List.of("CREDIT_UPDATE 3"), received());
    }

    // --- those that do not read ---

    @Test
    void whatTheHostDoesNotTakeIsKeptAndStaysInOrder() {
        connect();
        var random = new Random(1);
        var all = new ByteArrayOutputStream();
        var written = new ByteArrayOutputStream();
        for (int i = 0; i < 300; i++) {
            byte[] some = new byte[random.nextInt(4000)];
            random.nextBytes(some);
            all.writeBytes(some);
            stream.room = random.nextInt(4000);
            send(Packet.of(OP_RW, GUEST_PORT, PORT, some));
            stream.room = random.nextInt(4000);
            ready(stream);
            written.writeBytes(stream.takeWritten());
        }
        stream.room = Integer.MAX_VALUE;
        ready(stream);
        written.writeBytes(stream.takeWritten());

        assertArrayEquals(all.toByteArray(), written.toByteArray());
        assertFalse(received().contains("RST"));
    }

    @Test
    void hostThatDoesNotReadStallsNobodyElse() {
        connect();
        stream.room = 3;
        send(OP_RW, "stalled");
        Stream other = new Stream();
        connect(other, GUEST_PORT + 1, 100);
        send(Packet.of(OP_RW, GUEST_PORT + 1, PORT, "passes"));

        assertEquals("sta", stream.takeWrittenText());
        assertEquals("passes", other.takeWrittenText());
        stream.room = 100;
        ready(stream);
        assertEquals("lled", stream.takeWrittenText());
    }

    @Test
    void guestThatDoesNotReadStallsNobodyElse() {
        connect(stream, GUEST_PORT, 0);
        stream.with("stalled");
        ready(stream);
        Stream other = new Stream().with("passes");
        connect(other, GUEST_PORT + 1, 100);
        ready(other);

        assertEquals(List.of("52>1025 RW passes"), guest.receivedInBrief());
        assertEquals(0, stream.reads);
    }

    @Test
    void streamWithMuchFillsSeveralBuffersAtOnce() {
        connect();
        byte[] much = new byte[200_000];
        new Random(1).nextBytes(much);
        stream.with(much);
        ready(stream);
        var all = new ByteArrayOutputStream();
        guest.received().forEach(packet -> all.writeBytes(packet.bytes()));

        assertArrayEquals(much, all.toByteArray());
        assertTrue(stream.reads < 9, () -> stream.reads + " reads");
    }

    @Test
    void streamsTakeTurns() {
        connect(stream, GUEST_PORT, 1 << 20);
        Stream other = new Stream().with(new byte[9]);
        connect(other, GUEST_PORT + 1, 100);
        stream.with(new byte[100_000]);
        connections.ready(stream.token, true, true, false, false);
        connections.ready(other.token, true, true, false, false);
        settle();

        assertEquals("52>1025 RW 9", guest.receivedInBrief().get(1));
    }

    // --- ends ---

    @Test
    void guestSendsNoMore() {
        connect();
        stream.room = 2;
        send(OP_RW, "last");
        send(Packet.of(OP_SHUTDOWN, GUEST_PORT, PORT).withFlags(2));
        assertFalse(stream.writingEnded);
        stream.room = 10;
        ready(stream);

        assertTrue(stream.writingEnded);
        assertEquals("last", stream.takeWrittenText());
        stream.with("still");
        ready(stream);
        assertEquals(List.of("RW still"), received());
        send(OP_RW, "lie");
        assertEquals(List.of("RST"), received());
    }

    @Test
    void hostSendsNoMore() {
        connect();
        stream.with("last");
        stream.atEnd = true;
        ready(stream);
        assertEquals(List.of("RW last", "SHUTDOWN 2"), received());

        send(OP_RW, "still");
        assertEquals("still", stream.takeWrittenText());
        send(Packet.of(OP_SHUTDOWN, GUEST_PORT, PORT).withFlags(2));
        assertTrue(stream.closed);
        assertEquals(List.of("SHUTDOWN 3"), received());
        send(Packet.of(OP_SHUTDOWN, GUEST_PORT, PORT).withFlags(3));
        assertEquals(List.of("RST"), received());
    }

    @Test
    void guestReceivesNoMore() {
        connect();
        send(Packet.of(OP_SHUTDOWN, GUEST_PORT, PORT).withFlags(1));
        assertTrue(stream.readingEnded);
        stream.with("nobody's");
        ready(stream);
        assertEquals(List.of(), received());
        send(OP_RW, "still");
        assertEquals("still", stream.takeWrittenText());
        hangUp(stream);

        assertTrue(stream.closed);
        assertEquals(List.of("SHUTDOWN 3"), received());
    }

    @Test
    void hostReceivesNoMore() {
        connect();
        stream.room = 0;
        send(OP_RW, "kept");
        stream.writeFails = true;
        ready(stream);
        assertEquals(List.of("SHUTDOWN 1"), received());
        send(OP_RW, "thrown away");
        send(OP_CREDIT_REQUEST);

        assertEquals(List.of("CREDIT_UPDATE 15"), received());
        stream.with("still");
        ready(stream);
        assertEquals(List.of("RW still"), received());
    }

    @Test
    void guestCloses() {
        connect();
        send(OP_RW, "last");
        send(Packet.of(OP_SHUTDOWN, GUEST_PORT, PORT).withFlags(3));

        assertTrue(stream.closed);
        assertEquals(List.of("RST"), received());
        connect(new Stream(), GUEST_PORT, 10);
    }

    @Test
    void whatTheGuestHasSentBeforeItClosesArrives() {
        connect();
        stream.room = 2;
        send(OP_RW, "last");
        send(Packet.of(OP_SHUTDOWN, GUEST_PORT, PORT).withFlags(3));
        assertEquals(List.of("RST"), received());
        assertFalse(stream.closed);
        var again = new Stream();
        connect(again, GUEST_PORT, 10); // the guest may use its port again
        stream.room = 10;
        ready(stream);

        assertEquals("last", stream.takeWrittenText());
        assertTrue(stream.closed);
        send(OP_RW, "new");
        assertEquals("new", again.takeWrittenText());
    }

    @Test
    void hostThatGoesWhileTheLastIsKeptIsForgotten() {
        connect();
        stream.room = 2;
        send(OP_RW, "last");
        send(Packet.of(OP_SHUTDOWN, GUEST_PORT, PORT).withFlags(3));
        hangUp(stream);

        assertTrue(stream.closed);
        assertEquals(List.of("RST"), received());
    }

    @Test
    void hostCloses() {
        connect();
        stream.with("last");
        hangUp(stream);
        assertEquals(List.of("RW last", "SHUTDOWN 3"), received());
        assertTrue(stream.closed);
        send(OP_RW, "thrown away");
        assertEquals(List.of(), received());

        send(OP_RST);
        connect(new Stream(), GUEST_PORT, 10);
    }

    @Test
    void endIsSeenThoughTheEventsCameLate() {
        connect();
        stream.with("last");
        connections.ready(stream.token, true, true, true, false); // one direction
        stream.atEnd = true;
        settle();
        assertEquals(List.of("RW last", "SHUTDOWN 2"), received());
        hangUp(stream);

        assertEquals(List.of("SHUTDOWN 3"), received());
    }

    @Test
    void hostThatClosesWithoutHavingReadAllHasStillSent() {
        connect();
        stream.with("last");
        stream.readFails = true;
        stream.atEnd = true;
        stream.writeFails = true;
        ready(stream);

        assertEquals(List.of("SHUTDOWN 1", "RW last", "SHUTDOWN 3"), received());
    }

    @Test
    void guestResets() {
        connect();
        send(OP_RST);

        assertTrue(stream.closed);
        assertEquals(List.of(), received());
        send(OP_RW, "lie");
        assertEquals(List.of("RST"), received());
    }

    // --- the transport ---

    @Test
    void transportResetEndsAllAndTells() {
        connect();
        guest.driver.submit(VsockGuest.EVENTS, Buffer.toWrite(DeviceDriver.DATA - 64, 4));
        guest.driver.memory.writeLe32(DeviceDriver.DATA - 64, -1);
        connections.resetTransport();
        settle();

        assertTrue(stream.closed);
        assertEquals(List.of(), received());
        assertEquals(4, guest.driver.queues.get(VsockGuest.EVENTS).collect().getFirst().written());
        assertEquals(0, guest.driver.memory.readLe32(DeviceDriver.DATA - 64));
        connect(new Stream(), GUEST_PORT, 10);
    }

    @Test
    void clientsOfWhomTheGuestHasNotHeardStayOverATransportReset() {
        guest.driver.control.hold();
        Stream before = client("CONNECT 7\n");
        Stream silent = client("");
        connections.resetTransport();
        guest.driver.submit(VsockGuest.EVENTS, Buffer.toWrite(DeviceDriver.DATA - 64, 4));
        guest.driver.control.release();
        settle();

        assertEquals(List.of("1073741824>7 REQUEST"), guest.receivedInBrief());
        assertFalse(before.closed || silent.closed);
        connections.resetTransport();
        assertTrue(before.closed && !silent.closed);
    }

    @Test
    void transportResetWaitsForABuffer() {
        connections.resetTransport();
        settle();
        guest.driver.submit(VsockGuest.EVENTS, Buffer.toWrite(DeviceDriver.DATA - 64, 8));
        settle();

        assertEquals(1, guest.driver.queues.get(VsockGuest.EVENTS).collect().size());
        guest.driver.submit(VsockGuest.EVENTS, Buffer.toWrite(DeviceDriver.DATA - 64, 8));
        settle();
        assertEquals(0, guest.driver.queues.get(VsockGuest.EVENTS).collect().size(), "once");
    }

    @Test
    void buffersTakenAheadArePutBackAndTakenAgain() {
        connect();
        stream.with(new byte[50_000]);
        ready(stream);
        guest.received();
        guest.driver.control.hold();
        connections.putBack();
        VirtQueue queue = guest.driver.control.queue(VsockGuest.TO_GUEST);
        assertEquals(true, waits(queue));

        guest.driver.control.release();
        stream.with("after");
        ready(stream);
        assertEquals(List.of("RW after"), received());
    }

    private static boolean waits(VirtQueue queue) {
        try {
            return queue.awaitIdle(System.nanoTime());
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    /// A stream that takes all, and never ends.
    private static final class Endless implements HostStream {
        long read;
        long written;
        long token;

        @Override
        public void watch(long newToken) {
            token = newToken;
        }

        @Override
        public long read(IoVector into, long length) {
            read += length;
            return length;
        }

        @Override
        public long write(IoVector source, long from, long length) {
            written += length;
            return length;
        }

        @Override
        public void endWriting() {}

        @Override
        public void endReading() {}

        @Override
        public void close() {}
    }

    @Test
    void dataGoesThroughWithoutAllocation() {
        connections.close();
        var endless = new Endless();
        guest.begin();
        connections =
                new VsockConnections(
                        VsockGuest.CID,
                        guest.driver.control,
                        new VsockHost() {
                            @Override
                            public HostStream connect(int port) {
                                return endless;
                            }

                            @Override
                            public @Nullable HostStream accept() {
                                return null;
                            }
                        });
        send(Packet.of(OP_REQUEST, GUEST_PORT, PORT).withCredit(-1, 0));
        GuestDriver toGuest = guest.driver.queues.get(VsockGuest.TO_GUEST);
        GuestDriver fromGuest = guest.driver.queues.get(VsockGuest.FROM_GUEST);
        int buffer = toGuest.add(Buffer.toWrite(DeviceDriver.DATA, 4096));
        settle();
        connections.ready(endless.token, true, true, false, false);
        Packet data = Packet.of(OP_RW, GUEST_PORT, PORT, "data").withCredit(1 << 30, 0);
        guest.send(data);
        int packet = 2; // its first descriptor, as the first packet had two
        settle();

        long credit = DeviceDriver.DATA + 0x4000 + 40;
        long allocated =
                Host.allocatedBytes(() -> {
                    guest.driver.memory.writeLe32(credit, (int) endless.read);
                    toGuest.offer(buffer);
                    fromGuest.offer(packet);
                    connections.step();
                });

        assertEquals(0, allocated);
        assertTrue(endless.read > 400_000L * 1000, () -> endless.read + " bytes to the guest");
        assertEquals(4 * 400_001L, endless.written);
    }
}
