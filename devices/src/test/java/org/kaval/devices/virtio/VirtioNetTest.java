package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.devices.virtio.DeviceDriver.DATA;
import static org.kaval.devices.virtio.DeviceDriver.DEFAULT;
import static org.kaval.devices.virtio.DeviceDriver.until;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.RateLimit;
import org.kaval.devices.net.PcapFile;
import org.kaval.devices.net.SocketBackend;
import org.kaval.devices.virtio.GuestDriver.Buffer;

class VirtioNetTest {
    private static final long MAC = 0x02_00_00_00_00_01L;
    private static final int RX = 0;
    private static final int TX = 1;
    private static final int CONTROL = 2;
    private static final int HEADER = 12;
    private static final long ALL =
            DEFAULT
                    | VirtioNet.F_MAC
                    | VirtioNet.F_STATUS
                    | VirtioNet.F_MRG_RXBUF
                    | VirtioNet.F_CTRL_VQ
                    | VirtioNet.F_CTRL_RX
                    | VirtioNet.F_CTRL_RX_EXTRA
                    | VirtioNet.F_CTRL_VLAN
                    | VirtioNet.F_CTRL_MAC_ADDR
                    | VirtioNet.F_GUEST_ANNOUNCE;

    @TempDir Path directory;
    private VirtioNet net;
    private DeviceDriver driver;
    private SocketChannel peer;

    @BeforeEach
    void open() throws IOException {
        open(VirtioNet.Options.of(MAC));
    }

    private void open(VirtioNet.Options options) throws IOException {
        Path path = directory.resolve("net");
        net = new VirtioNet("net", SocketBackend.open(path), options);
        driver = new DeviceDriver(net);
        driver.begin(ALL);
        peer = SocketChannel.open(UnixDomainSocketAddress.of(path));
        until("the link is up", net::isLinkUp);
    }

    @AfterEach
    void close() throws IOException {
        peer.close();
        driver.close();
    }

    private static byte[] frame(long to, int size) {
        byte[] frame = new byte[size];
        new Random(size).nextBytes(frame);
        for (int i = 0; i < 6; i++) {
            frame[i] = (byte) (to >>> (8 * (5 - i)));
        }
        frame[12] = 8; // IPv4
        frame[13] = 0;
        return frame;
    }

    private void peerSends(byte[] frame) throws IOException {
        peer.write(ByteBuffer.allocate(4 + frame.length).putInt(frame.length).put(frame).flip());
    }

    private byte[] peerReceives() throws IOException {
        ByteBuffer length = ByteBuffer.allocate(4);
        readFully(length);
        ByteBuffer frame = ByteBuffer.allocate(length.getInt(0));
        readFully(frame);
        return frame.array();
    }

    private void readFully(ByteBuffer into) throws IOException {
        while (into.hasRemaining()) {
            assertTrue(peer.read(into) >= 0, "the other end has gone");
        }
    }

    private void put(long address, byte[] bytes) {
        driver.memory.write(address, bytes);
    }

    private void send(byte[] frame) {
        put(DATA, new byte[HEADER]);
        put(DATA + HEADER, frame);
        driver.request(TX, Buffer.toRead(DATA, HEADER + frame.length));
    }

    private int command(int... bytes) {
        for (int i = 0; i < bytes.length; i++) {
            driver.memory.writeByte(DATA + i, bytes[i]);
        }
        driver.memory.writeByte(DATA + 0x1000, 0x55);
        driver.request(
                CONTROL, Buffer.toRead(DATA, bytes.length), Buffer.toWrite(DATA + 0x1000, 1));
        return driver.memory.readByte(DATA + 0x1000);
    }

    @Test
    void frameOfTheGuestsGoesOutWithoutItsHeader() throws IOException {
        byte[] frame = frame(-1, 1514);
        put(DATA, new byte[HEADER]);
        put(DATA + HEADER, frame);
        driver.request(
                TX,
                Buffer.toRead(DATA, 5), // the header in pieces
                Buffer.toRead(DATA + 5, 100),
                Buffer.toRead(DATA + 105, HEADER + frame.length - 105));

        assertArrayEquals(frame, peerReceives());
        assertEquals(1, net.sent().frames());
        assertEquals(1514, net.sent().bytes());
    }

    @Test
    void frameForTheGuestHasAHeaderThatSaysOneBuffer() throws IOException {
        byte[] frame = frame(MAC, 60);
        driver.submit(RX, Buffer.toWrite(DATA, 2048));
        peerSends(frame);

        assertEquals(HEADER + 60, driver.awaitUsed(RX, 1).getFirst().written());
        assertArrayEquals(frame, driver.read(DATA + HEADER, 60));
        assertEquals(1, driver.memory.readLe16(DATA + 10));
        assertEquals(0, driver.memory.readLe64(DATA));
    }

    @Test
    void largeFrameIsSpreadOverBuffers() throws IOException {
        byte[] frame = frame(MAC, 5000);
        for (int i = 0; i < 4; i++) {
            driver.submit(RX, Buffer.toWrite(DATA + 0x1000L * i, 2000));
        }
        peerSends(frame);

        var used = driver.awaitUsed(RX, 3);
        assertEquals(2000, used.get(0).written());
        assertEquals(2000, used.get(1).written());
        assertEquals(1012, used.get(2).written());
        assertEquals(3, driver.memory.readLe16(DATA + 10));
        byte[] whole = new byte[5000];
        driver.memory.read(DATA + HEADER, whole, 0, 1988);
        driver.memory.read(DATA + 0x1000, whole, 1988, 2000);
        driver.memory.read(DATA + 0x2000, whole, 3988, 1012);
        assertArrayEquals(frame, whole);

        // the fourth is still there
        peerSends(frame(MAC, 64));
        assertEquals(HEADER + 64, driver.awaitUsed(RX, 1).getFirst().written());
        assertEquals(1, driver.memory.readLe16(DATA + 0x3000 + 10));
    }

    /// As old drivers do: a chain of pages that takes the largest frame, and is one buffer.
    @Test
    void driverWithoutMergedBuffersGetsALargeFrameInOne() throws IOException {
        driver.begin(ALL & ~VirtioNet.F_MRG_RXBUF);
        var pages = new Buffer[18];
        pages[0] = Buffer.toWrite(DATA - HEADER, HEADER);
        for (int i = 1; i < pages.length; i++) {
            pages[i] = Buffer.toWrite(DATA + 0x1000L * (i - 1), 0x1000);
        }
        byte[] frame = frame(MAC, 60_000);
        driver.submit(RX, pages);
        peerSends(frame);

        assertEquals(HEADER + 60_000, driver.awaitUsed(RX, 1).getFirst().written());
        assertArrayEquals(frame, driver.read(DATA, 60_000));
        assertEquals(1, driver.memory.readLe16(DATA - 2));
        driver.submit(RX, Buffer.toWrite(DATA, 2048));
        peerSends(frame(MAC, 60));
        assertEquals(HEADER + 60, driver.awaitUsed(RX, 1).getFirst().written());
    }

    @Test
    void frameThatComesInPiecesIsDelivered() throws IOException {
        byte[] frame = frame(MAC, 300);
        driver.submit(RX, Buffer.toWrite(DATA, 2048));
        ByteBuffer all = ByteBuffer.allocate(304).putInt(300).put(frame).flip();
        while (all.hasRemaining()) {
            peer.write(all.slice(all.position(), 1));
            all.position(all.position() + 1);
        }

        assertEquals(HEADER + 300, driver.awaitUsed(RX, 1).getFirst().written());
        assertArrayEquals(frame, driver.read(DATA + HEADER, 300));
    }

    @Test
    void manyFramesArriveInOrder() throws IOException {
        for (int i = 0; i < 200; i++) {
            driver.submit(RX, Buffer.toWrite(DATA + 0x800L * i, 0x800));
        }
        for (int i = 0; i < 200; i++) {
            peerSends(frame(MAC, 60 + i));
        }

        var used = driver.awaitUsed(RX, 200);
        for (int i = 0; i < 200; i++) {
            assertEquals(HEADER + 60 + i, used.get(i).written());
            assertArrayEquals(frame(MAC, 60 + i), driver.read(DATA + 0x800L * i + HEADER, 60 + i));
        }
    }

    /// CVE-2020-16843: a queue that was full, and is refilled.
    @Test
    void framesWaitForBuffers() throws IOException {
        peerSends(frame(MAC, 100));
        peerSends(frame(MAC, 101));
        driver.submit(RX, Buffer.toWrite(DATA, 2048));
        assertEquals(HEADER + 100, driver.awaitUsed(RX, 1).getFirst().written());
        driver.submit(RX, Buffer.toWrite(DATA, 2048));
        assertEquals(HEADER + 101, driver.awaitUsed(RX, 1).getFirst().written());
    }

    @Test
    void frameWithoutRoomIsLostAndTheNextIsNot() throws IOException {
        driver.begin(ALL & ~VirtioNet.F_MRG_RXBUF);
        driver.submit(RX, Buffer.toWrite(DATA, 200));
        peerSends(frame(MAC, 1000));
        peerSends(frame(MAC, 100));

        assertEquals(HEADER + 100, driver.awaitUsed(RX, 1).getFirst().written());
        assertEquals(1, net.received().dropped());
    }

    @Test
    void peerThatDoesNotReadHoldsUpTheGuestAndNothingIsLost() throws IOException {
        byte[] frame = frame(-1, 60_000);
        put(DATA, new byte[HEADER]);
        put(DATA + HEADER, frame);
        for (int i = 0; i < 100; i++) {
            driver.submit(TX, Buffer.toRead(DATA, HEADER + frame.length));
        }
        for (int i = 0; i < 100; i++) {
            assertArrayEquals(frame, peerReceives());
        }
        driver.awaitUsed(TX, 100);
    }

    @Test
    void resetInTheMiddleOfAFrameLeavesTheStreamWhole() throws IOException {
        byte[] frame = frame(-1, 60_000);
        put(DATA, new byte[HEADER]);
        put(DATA + HEADER, frame);
        for (int i = 0; i < 100; i++) {
            driver.submit(TX, Buffer.toRead(DATA, HEADER + frame.length));
        }
        assertArrayEquals(frame, peerReceives());

        driver.begin(ALL);
        byte[] last = frame(-1, 77);
        driver.memory.write(DATA + 0x2_0000, new byte[HEADER]);
        put(DATA + 0x2_0000 + HEADER, last);
        driver.submit(TX, Buffer.toRead(DATA + 0x2_0000, HEADER + 77));
        byte[] received = peerReceives();
        while (received.length == 60_000) {
            assertArrayEquals(frame, received);
            received = peerReceives();
        }
        assertArrayEquals(last, received);
    }

    @Test
    void linkGoesDownWithThePeerAndUpWithTheNext() throws IOException {
        peer.close();
        until("the link is down", () -> !net.isLinkUp());
        send(frame(-1, 60)); // nobody takes it
        assertEquals(1, net.sent().dropped());

        peer = SocketChannel.open(UnixDomainSocketAddress.of(directory.resolve("net")));
        until("the link is up", net::isLinkUp);
        assertFramesGoBothWays();
    }

    @Test
    void deviceThatWasConnectedConnectsToAPeerThatIsStartedAgain() throws IOException {
        close();
        Path path = directory.resolve("of-peer");
        try (ServerSocketChannel listener = listen(path)) {
            net = new VirtioNet("net", SocketBackend.open(path), VirtioNet.Options.of(MAC));
            driver = new DeviceDriver(net);
            driver.begin(ALL);
            peer = listener.accept();
            until("the link is up", net::isLinkUp);
        }
        Files.delete(path);
        peer.close();
        until("the link is down", () -> !net.isLinkUp());

        try (ServerSocketChannel listener = listen(path)) {
            peer = listener.accept();
            until("the link is up", net::isLinkUp);
            assertFramesGoBothWays();
        }
    }

    private void assertFramesGoBothWays() throws IOException {
        send(frame(-1, 61));
        assertArrayEquals(frame(-1, 61), peerReceives());
        driver.submit(RX, Buffer.toWrite(DATA, 2048));
        peerSends(frame(MAC, 62));
        assertEquals(HEADER + 62, driver.awaitUsed(RX, 1).getFirst().written());
    }

    private static ServerSocketChannel listen(Path path) throws IOException {
        return ServerSocketChannel.open(StandardProtocolFamily.UNIX)
                .bind(UnixDomainSocketAddress.of(path));
    }

    @Test
    void nextPeerMayBeWaitingAlreadyInTheMiddleOfAFrame() throws IOException {
        driver.submit(RX, Buffer.toWrite(DATA, 2048));
        peer.write(ByteBuffer.allocate(10).putInt(100).flip().limit(10));
        try (var next = SocketChannel.open(UnixDomainSocketAddress.of(directory.resolve("net")))) {
            peer.close();
            next.write(ByteBuffer.allocate(64).putInt(60).put(frame(MAC, 60)).flip());

            assertEquals(HEADER + 60, driver.awaitUsed(RX, 1).getFirst().written());
        }
    }

    @Test
    void peerThatSendsNonsenseIsLeft() throws IOException {
        peer.write(ByteBuffer.allocate(4).putInt(-1).flip());

        until("the link is down", () -> !net.isLinkUp());
        assertTrue(peer.read(ByteBuffer.allocate(1)) <= 0);
    }

    @Test
    void hostPullsTheCableOut() throws IOException {
        net.setLink(false);
        assertEquals(0, driver.control.readConfig(6, 2));
        assertFalse(net.isLinkUp());
        send(frame(-1, 60));
        peerSends(frame(MAC, 60));
        driver.submit(RX, Buffer.toWrite(DATA, 2048));
        until("it is thrown away", () -> net.received().filtered() == 1);

        net.setLink(true);
        assertEquals(1, driver.control.readConfig(6, 2));
        peerSends(frame(MAC, 99));
        assertEquals(HEADER + 99, driver.awaitUsed(RX, 1).getFirst().written());
    }

    @Test
    void driverChoosesFrames() throws IOException {
        driver.submit(RX, Buffer.toWrite(DATA + 0x10000, 2048));
        assertEquals(0, command(0, 0, 0)); // not promiscuous
        peerSends(frame(0x02_00_00_00_00_99L, 60)); // somebody else's
        peerSends(frame(0x01_00_5e_00_00_01L, 60)); // multicast
        peerSends(frame(MAC, 70));
        assertEquals(HEADER + 70, driver.awaitUsed(RX, 1).getFirst().written());
        assertEquals(2, net.received().filtered());

        driver.submit(RX, Buffer.toWrite(DATA + 0x10000, 2048));
        // one unicast address and one of multicast
        assertEquals(
                0, command(1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0x99, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1));
        peerSends(frame(0x02_00_00_00_00_99L, 71));
        assertEquals(HEADER + 71, driver.awaitUsed(RX, 1).getFirst().written());
        driver.submit(RX, Buffer.toWrite(DATA + 0x10000, 2048));
        peerSends(frame(0x01_00_5e_00_00_01L, 72));
        assertEquals(HEADER + 72, driver.awaitUsed(RX, 1).getFirst().written());
    }

    @Test
    void driverChoosesVlans() throws IOException {
        driver.submit(RX, Buffer.toWrite(DATA + 0x10000, 2048));
        byte[] tagged = frame(MAC, 80);
        tagged[12] = (byte) 0x81;
        tagged[13] = 0;
        tagged[14] = 0x20 | 1;
        tagged[15] = 5; // VLAN 0x105
        assertEquals(0, command(0, 0, 0), "not all frames");
        peerSends(tagged);
        until("it is thrown away", () -> net.received().filtered() == 1);

        assertEquals(0, command(2, 0, 5, 1));
        peerSends(tagged);
        assertEquals(HEADER + 80, driver.awaitUsed(RX, 1).getFirst().written());
        assertEquals(1, command(2, 0, 0, 0x10), "VLAN 4096");
        assertEquals(0, command(2, 1, 5, 1));

        driver.submit(RX, Buffer.toWrite(DATA + 0x10000, 2048));
        assertEquals(0, command(0, 0, 1), "all frames");
        peerSends(tagged);
        assertEquals(HEADER + 80, driver.awaitUsed(RX, 1).getFirst().written());
    }

    @Test
    void driverChangesItsAddress() {
        assertEquals(0, command(1, 1, 2, 3, 4, 5, 6, 7));
        assertEquals(0x0706_0504_0302L, driver.control.readConfig(0, 6));

        driver.begin(ALL);
        assertEquals(0x0100_0000_0002L, driver.control.readConfig(0, 6));
    }

    @Test
    void commandsThatAreCutShortOrUnknownAreRefused() {
        assertEquals(1, command(0, 0));
        assertEquals(1, command(0, 6, 1));
        assertEquals(1, command(1, 0, 1, 0, 0));
        assertEquals(1, command(1, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6));
        assertEquals(1, command(1, 0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0));
        assertEquals(1, command(1, 1, 1, 2, 3));
        assertEquals(1, command(1, 7, 1));
        assertEquals(1, command(2, 0, 1));
        assertEquals(1, command(4, 0, 1, 0), "not negotiated");
        assertEquals(1, command(5, 0, 0, 0, 0, 0, 0, 0, 0, 0), "not negotiated");
        assertEquals(1, command(77, 0));
        assertEquals(0, command(0, 0, 1));
    }

    @Test
    void commandWithoutRoomForTheAnswerNeedsAReset() {
        driver.submit(CONTROL, Buffer.toRead(DATA, 3));
        driver.awaitNeedsReset();
    }

    @Test
    void frameShorterThanItsHeaderNeedsAReset() throws IOException {
        driver.submit(TX, Buffer.toRead(DATA, HEADER - 1));
        driver.awaitNeedsReset();

        driver.begin(ALL);
        send(frame(-1, 60));
        assertArrayEquals(frame(-1, 60), peerReceives());
    }

    @Test
    void bufferShorterThanAHeaderNeedsAReset() throws IOException {
        driver.submit(RX, Buffer.toWrite(DATA, HEADER - 1));
        peerSends(frame(MAC, 60));
        driver.awaitNeedsReset();
    }

    @Test
    void frameThatNobodyCanSendIsLost() throws IOException {
        driver.request(TX, Buffer.toRead(DATA, HEADER + 13));
        driver.request(TX, Buffer.toRead(DATA, HEADER + 65_554));
        driver.request(TX, Buffer.toRead(DATA, 1 << 20));
        send(frame(-1, 60));

        assertArrayEquals(frame(-1, 60), peerReceives());
        assertEquals(3, net.sent().dropped());
    }

    @Test
    void guestIsAskedToAnnounceItselfWhereItIsRestored() {
        net.restored();
        assertEquals(3, driver.control.readConfig(6, 2));
        assertEquals(0, command(3, 0));
        assertEquals(1, driver.control.readConfig(6, 2));
    }

    @Test
    void heldDeviceHasNoRequests() throws Exception {
        for (int i = 0; i < 4; i++) {
            driver.submit(RX, Buffer.toWrite(DATA + 0x1000L * i, 2048));
        }
        peerSends(frame(MAC, 60));
        driver.awaitUsed(RX, 1);
        driver.control.hold();
        assertTrue(driver.control.awaitIdle(60_000_000_000L));

        driver.control.release();
        peerSends(frame(MAC, 61));
        assertEquals(HEADER + 61, driver.awaitUsed(RX, 1).getFirst().written());
    }

    @Test
    void framesAreTakenDown() throws IOException {
        close();
        Path file = directory.resolve("pcap");
        var unlimited = RateLimit.Rate.UNLIMITED;
        open(new VirtioNet.Options(MAC, 1400, unlimited, unlimited, PcapFile.create(file)));
        assertEquals(1400, driver.control.readConfig(10, 2));
        byte[] frame = frame(-1, 60);
        send(frame);
        driver.submit(RX, Buffer.toWrite(DATA, 2048));
        peerSends(frame(MAC, 61));
        driver.awaitUsed(RX, 1);

        ByteBuffer taken = ByteBuffer.wrap(Files.readAllBytes(file));
        assertEquals(24 + 16 + 60 + 16 + 61, taken.capacity());
        assertEquals(0x4d3c_b2a1, taken.getInt(0));
        byte[] first = new byte[60];
        taken.get(40, first);
        assertArrayEquals(frame, first);
    }

    @Test
    void rateThatIsWaitedForEndsWithAReset() throws IOException {
        close();
        var slow = new RateLimit.Rate(1, 1);
        open(new VirtioNet.Options(MAC, 0, RateLimit.Rate.UNLIMITED, slow, null));
        send(frame(-1, 60)); // the next has to wait for a minute
        driver.submit(TX, Buffer.toRead(DATA, HEADER + 60));

        driver.begin(ALL);
        assertEquals(1, net.sent().frames());
    }

    @Test
    void addressOfAGroupIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> VirtioNet.Options.of(1L << 40));
        assertThrows(IllegalArgumentException.class, () -> VirtioNet.Options.of(0));
    }
}
