package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.devices.virtio.VsockHeader.OP_CREDIT_UPDATE;
import static org.kaval.devices.virtio.VsockHeader.OP_REQUEST;
import static org.kaval.devices.virtio.VsockHeader.OP_RESPONSE;
import static org.kaval.devices.virtio.VsockHeader.OP_RST;
import static org.kaval.devices.virtio.VsockHeader.OP_RW;
import static org.kaval.devices.virtio.VsockHeader.OP_SHUTDOWN;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.virtio.FakeVsockHost.Stream;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.VsockGuest.Packet;
import org.kaval.linux.ErrnoException;
import org.kaval.memory.GuestFault;

/// A guest that does with its vsock device what no guest should do: what it does to itself is its
/// own affair, and nobody else notices.
class HostileVsockTest {
    private static final int PORT = 52;
    private static final int GUEST_PORT = 1024;

    private final FakeVsockHost host = new FakeVsockHost();
    private final Stream stream = new Stream();
    private VsockGuest guest;
    private VsockConnections connections;

    @BeforeEach
    void begin() throws ErrnoException {
        guest = new VsockGuest(new IdleVsock());
        connections = new VsockConnections(VsockGuest.CID, guest.driver.control, host);
    }

    @AfterEach
    void end() {
        connections.close();
        guest.close();
    }

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

    private void connect() {
        guest.give(16);
        host.listeners.put(PORT, stream);
        send(Packet.of(OP_REQUEST, GUEST_PORT, PORT));
        assertEquals(List.of("52>1024 RESPONSE"), guest.receivedInBrief());
    }

    @ParameterizedTest
    @ValueSource(longs = {5, 100, 0x7fff_ffffL, 0x8000_0000L, 0xffff_ffffL, 0xffff_ffd4L})
    void packetWithLessDataThanItSaysIsAFault(long length) { // CVE-2019-18960
        connect();
        guest.sendWithLength(Packet.of(OP_RW, GUEST_PORT, PORT, "data"), length);

        assertThrows(GuestFault.class, this::settle);
        assertEquals("", stream.takeWrittenText());
    }

    @Test
    void dataBehindThatOfThePacketIsNobodys() {
        connect();
        guest.sendWithLength(Packet.of(OP_RW, GUEST_PORT, PORT, "data, and more"), 4);
        settle();

        assertEquals("data", stream.takeWrittenText());
    }

    @Test
    void packetThatIsTooShortIsAFault() {
        guest.driver.submit(VsockGuest.FROM_GUEST, Buffer.toRead(DeviceDriver.DATA, 43));

        assertThrows(GuestFault.class, this::settle);
    }

    @Test
    void packetOfNothingIsAFault() {
        guest.driver.submit(VsockGuest.FROM_GUEST, Buffer.toRead(DeviceDriver.DATA, 0));

        assertThrows(GuestFault.class, this::settle);
    }

    @Test
    void packetWithoutEndsIsReset() {
        connect();
        // 48 times the same piece of memory: more than there is credit for, in one packet
        var buffers = new Buffer[49];
        Arrays.fill(buffers, Buffer.toRead(DeviceDriver.DATA + 0x10_0000, 0x10_0000));
        buffers[0] = Buffer.toRead(DeviceDriver.DATA - 64, VsockGuest.HEADER);
        new VsockHeader()
                .address(VsockGuest.CID, GUEST_PORT, 2, PORT)
                .operation(OP_RW, 0)
                .length(48L << 20)
                .write(header());
        guest.driver.submit(VsockGuest.FROM_GUEST, buffers);
        settle();

        assertEquals(List.of("52>1024 RST"), guest.receivedInBrief());
        assertEquals("", stream.takeWrittenText());
    }

    private GuestBuffers header() {
        var buffers = new GuestBuffers(guest.driver.memory);
        buffers.add(DeviceDriver.DATA - 64, VsockGuest.HEADER);
        return buffers;
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 43, 44})
    void bufferWithoutRoomIsAFault(long size) {
        guest.driver.submit(VsockGuest.TO_GUEST, Buffer.toWrite(DeviceDriver.DATA, size));
        guest.send(Packet.of(OP_REQUEST, GUEST_PORT, PORT));

        assertThrows(GuestFault.class, this::settle);
    }

    @Test
    void bufferToReadIsAFault() {
        guest.driver.submit(
                VsockGuest.TO_GUEST,
                Buffer.toRead(DeviceDriver.DATA, 1),
                Buffer.toWrite(DeviceDriver.DATA, 100));
        guest.send(Packet.of(OP_REQUEST, GUEST_PORT, PORT));

        assertThrows(GuestFault.class, this::settle);
    }

    @Test
    void eventWithoutRoomIsAFault() {
        guest.driver.submit(VsockGuest.EVENTS, Buffer.toWrite(DeviceDriver.DATA, 3));
        connections.resetTransport();

        assertThrows(GuestFault.class, this::settle);
    }

    /// Buffers cut into a thousand pieces, of which a read takes as many as fit.
    @Test
    void buffersOfManyPiecesAreFilled() {
        connect();
        guest.give(0);
        var pieces = new Buffer[100];
        Arrays.fill(pieces, Buffer.toWrite(DeviceDriver.DATA, 1));
        guest.driver.submit(VsockGuest.TO_GUEST, pieces);
        guest.driver.submit(VsockGuest.TO_GUEST, pieces);
        stream.with(new byte[100_000]);
        connections.ready(stream.token, true, true, false, false);
        settle();

        long data = 0;
        var all = guest.driver.queues.get(VsockGuest.TO_GUEST).collect();
        for (var used : all) {
            data += used.written() - VsockGuest.HEADER;
        }
        assertEquals(17, all.size());
        assertEquals(15 * 4096 + 2 * 56, data);
    }

    // what nobody expects of a connection resets it

    @ParameterizedTest
    @CsvSource({
        "1, 0, ''", // a request for what there is
        "2, 0, ''", // a response to what nobody has asked
        "0, 0, ''",
        "8, 0, ''",
        "65535, 0, ''",
        "1, 0, data",
        "2, 0, data",
        "3, 0, data",
        "4, 0, data",
        "6, 0, data",
        "7, 0, data",
        "9, 0, data"
    })
    void oddPacketOfAConnectionResetsIt(int op, int flags, String data) {
        connect();
        send(Packet.of(op, GUEST_PORT, PORT, data).withFlags(flags));

        assertEquals(List.of("52>1024 RST"), guest.receivedInBrief());
        assertTrue(stream.closed);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 2, 4, 5, 6, 7, 8, 0xffff})
    void packetOfNoConnectionIsAnsweredByAReset(int op) {
        guest.give(1);
        send(Packet.of(op, GUEST_PORT, PORT));

        assertEquals(List.of("52>1024 RST"), guest.receivedInBrief());
        assertEquals(0, host.connects);
    }

    @Test
    void resetIsNotAnswered() {
        guest.give(1);
        send(Packet.of(OP_RST, GUEST_PORT, PORT));
        send(Packet.of(OP_RST, GUEST_PORT, PORT).withType(2));

        assertEquals(List.of(), guest.receivedInBrief());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 2, 3, 0xffff})
    void otherKindOfSocketIsReset(int type) {
        connect();
        send(Packet.of(OP_REQUEST, GUEST_PORT, PORT).withType(type));

        Packet answer = guest.received().getFirst();
        assertEquals("52>1024 RST", answer.brief());
        assertEquals(type, Short.toUnsignedInt((short) answer.type()));
        assertEquals(1, host.connects);
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 3, 4, 0xffff_ffffL, 0x1_0000_0002L, -1})
    void packetForSomebodyElseIsReset(long cid) {
        connect();
        send(Packet.of(OP_RW, GUEST_PORT, PORT, "data").withCids(VsockGuest.CID, cid));

        Packet answer = guest.received().getFirst();
        assertEquals("52>1024 RST", answer.brief());
        assertEquals(cid, answer.fromCid());
        assertEquals("", stream.takeWrittenText());
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 2, 4, 0x1_0000_0003L, -1})
    void packetFromSomebodyElseIsDropped(long cid) {
        connect();
        send(Packet.of(OP_RST, GUEST_PORT, PORT).withCids(cid, 2));
        send(Packet.of(OP_REQUEST, GUEST_PORT + 1, PORT).withCids(cid, 2));

        assertEquals(List.of(), guest.receivedInBrief());
        assertTrue(!stream.closed);
    }

    @ParameterizedTest
    @ValueSource(ints = {OP_RW, OP_SHUTDOWN, OP_REQUEST})
    void guestThatHasNotAnsweredAClientAndDoesOtherThingsIsReset(int op) {
        guest.give(4);
        Stream client = new Stream().with("CONNECT 7\n");
        host.clients.add(client);
        settle();
        connections.ready(client.token, true, true, false, false);
        settle();
        int port = guest.received().getFirst().fromPort();
        send(Packet.of(op, 7, port));

        assertEquals(List.of(port + ">7 RST"), guest.receivedInBrief());
        assertTrue(client.closed);
        assertEquals("", client.takeWrittenText());
    }

    @Test
    void answerBeforeTheQuestionIsReset() {
        Stream client = new Stream().with("CONNECT 7\n");
        host.clients.add(client);
        settle();
        connections.ready(client.token, true, true, false, false);
        settle(); // the request waits for a buffer
        send(Packet.of(OP_RESPONSE, 7, VsockConnections.FIRST_HOST_PORT));
        assertTrue(client.closed);
        guest.give(1);
        settle();

        assertEquals(List.of("1073741824>7 RST"), guest.receivedInBrief());
    }

    // however much it does, there is an end to it

    @Test
    void guestThatTakesNoAnswersIsNotListenedTo() {
        int taken = 0;
        for (int i = 0; i < 10_000 && taken == i; i++) {
            guest.send(Packet.of(OP_REQUEST, i, PORT));
            settle();
            taken += guest.through();
        }
        assertEquals(128, taken);
        guest.give(100);
        settle();

        assertEquals(100, guest.received().size());
        guest.give(100);
        settle();
        assertEquals(1, guest.through(), "it goes on");
        assertEquals(29, guest.received().size());
    }

    @Test
    void tenThousandConnectionsAreNotHad() {
        var many =
                new VsockHost() {
                    int connects;

                    @Override
                    public HostStream connect(int port) {
                        connects++;
                        return new Stream();
                    }

                    @Override
                    public @Nullable HostStream accept() {
                        return null;
                    }
                };
        connections = new VsockConnections(VsockGuest.CID, guest.driver.control, many);
        int responses = 0;
        int resets = 0;
        for (int i = 0; i < 10_000; i++) {
            guest.give(1);
            send(Packet.of(OP_REQUEST, i, PORT));
            guest.through();
            for (Packet packet : guest.received()) {
                responses += packet.op() == OP_RESPONSE ? 1 : 0;
                resets += packet.op() == OP_RST ? 1 : 0;
            }
        }

        assertEquals(VsockConnections.MAX, responses);
        assertEquals(10_000 - VsockConnections.MAX, resets);
        assertEquals(VsockConnections.MAX, many.connects);
    }

    @Test
    void connectionsThatTheGuestDoesNotEndMakeRoomForOthers() {
        guest.give(100);
        for (int i = 0; i < VsockConnections.MAX; i++) {
            Stream next = new Stream();
            host.listeners.put(PORT, next);
            send(Packet.of(OP_REQUEST, i, PORT));
            next.atEnd = true;
            connections.ready(next.token, true, true, true, true);
            settle();
            guest.give(guest.received().size());
            guest.through();
        }
        host.listeners.put(PORT, stream);
        send(Packet.of(OP_REQUEST, 5000, PORT));

        assertEquals(List.of("52>0 RST", "52>5000 RESPONSE"), guest.receivedInBrief());
    }

    @Test
    void clientsWaitUntilThereIsRoom() {
        Stream first = new Stream();
        host.clients.add(first);
        for (int i = 1; i < VsockConnections.MAX; i++) {
            host.clients.add(new Stream());
        }
        host.clients.add(stream);
        settle();
        assertEquals(1, host.clients.size());
        first.atEnd = true;
        connections.ready(first.token, true, true, true, true);
        settle();

        assertEquals(0, host.clients.size());
        assertTrue(first.closed && !stream.closed);
    }

    @Test
    void creditUpdatesWithoutEndAreNotAnswered() {
        connect();
        for (int i = 0; i < 1000; i++) {
            send(Packet.of(OP_CREDIT_UPDATE, GUEST_PORT, PORT).withCredit(i, -i));
            guest.through();
        }

        assertEquals(List.of(), guest.receivedInBrief());
    }
}
