package org.kaval.devices.virtio;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.devices.virtio.DeviceDriver.DATA;
import static org.kaval.devices.virtio.DeviceDriver.DEFAULT;
import static org.kaval.devices.virtio.DeviceDriver.until;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.StateException;
import org.kaval.devices.StateFields;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.VirtioPorts.Port;

class VirtioPortsTest {
    private static final long MULTIPORT = DEFAULT | VirtioPorts.F_MULTIPORT;
    private static final int FIRST = 1;
    private static final int SECOND = 2;
    private static final int MEBIBYTE = 1 << 20;

    /// Behind {@link DeviceDriver#DATA}, which is for what tests send and receive.
    private static final long CONTROL = DATA + 4 * MEBIBYTE;

    private static final long SAID = CONTROL + 0x1000;

    @TempDir private Path directory;
    private VirtioPorts device;
    private DeviceDriver driver;

    @BeforeEach
    void open() throws IOException {
        device =
                VirtioPorts.open(
                        "ports",
                        List.of(
                                new Port("org.kaval.first", directory.resolve("1")),
                                new Port("second", directory.resolve("2"))));
        driver = new DeviceDriver(device);
        driver.begin(MULTIPORT);
    }

    @AfterEach
    void close() {
        driver.close();
    }

    private static int receiveQueue(int port) {
        return 2 * (port + 1);
    }

    private static int transmitQueue(int port) {
        return receiveQueue(port) + 1;
    }

    private static byte[] random(int size) {
        byte[] bytes = new byte[size];
        new Random(size).nextBytes(bytes);
        return bytes;
    }

    private void say(int port, int event, int value) {
        driver.memory.writeLe32(SAID, port);
        driver.memory.writeLe32(SAID + 4, event | value << 16);
        driver.request(PortControl.TRANSMIT, Buffer.toRead(SAID, 8));
    }

    /// Gives a buffer, and returns what the device says in it.
    private String hear() {
        driver.submit(PortControl.RECEIVE, Buffer.toWrite(CONTROL, 100));
        return awaitHeard();
    }

    private String awaitHeard() {
        int length = (int) driver.awaitUsed(PortControl.RECEIVE, 1).getFirst().written();
        int event = driver.memory.readLe32(CONTROL + 4);
        return "port %d event %d value %d %s"
                .formatted(
                        driver.memory.readLe32(CONTROL),
                        event & 0xffff,
                        event >>> 16,
                        new String(driver.read(CONTROL + 8, length - 8), US_ASCII))
                .strip();
    }

    /// Sets up all ports as Linux does.
    private void begin() {
        say(-1, PortControl.DEVICE_READY, 1);
        assertEquals("port 1 event 1 value 1", hear());
        assertEquals("port 2 event 1 value 1", hear());
        say(FIRST, PortControl.PORT_READY, 1);
        assertEquals("port 1 event 7 value 1 org.kaval.first", hear());
        say(SECOND, PortControl.PORT_READY, 1);
        assertEquals("port 2 event 7 value 1 second", hear());
    }

    private SocketChannel connect(int port) throws IOException {
        return SocketChannel.open(
                UnixDomainSocketAddress.of(directory.resolve(String.valueOf(port))));
    }

    /// Connects, and has the driver hear of it.
    private SocketChannel connected(int port) throws IOException {
        SocketChannel client = connect(port);
        assertEquals("port %d event 6 value 1".formatted(port), hear());
        return client;
    }

    private static void write(SocketChannel to, byte[] bytes) throws IOException {
        ByteBuffer rest = ByteBuffer.wrap(bytes);
        while (rest.hasRemaining()) {
            to.write(rest);
        }
    }

    private static byte[] read(SocketChannel from, int count) throws IOException {
        return Channels.newInputStream(from).readNBytes(count);
    }

    private void send(int port, byte[] bytes) {
        driver.memory.write(DATA, bytes);
        driver.submit(transmitQueue(port), Buffer.toRead(DATA, bytes.length));
    }

    /// Takes as many bytes, in buffers of a page.
    private byte[] receive(int port, int count) {
        byte[] all = new byte[count];
        for (int done = 0; done < count; ) {
            driver.submit(receiveQueue(port), Buffer.toWrite(DATA, 4096));
            int got = (int) driver.awaitUsed(receiveQueue(port), 1).getFirst().written();
            System.arraycopy(driver.read(DATA, got), 0, all, done, got);
            done += got;
        }
        return all;
    }

    @Test
    void bytesGoBothWaysWhole() throws Exception {
        begin();
        try (SocketChannel client = connected(FIRST)) {
            say(FIRST, PortControl.PORT_OPEN, 1);
            byte[] bytes = random(MEBIBYTE);
            send(FIRST, bytes);
            assertArrayEquals(bytes, read(client, MEBIBYTE));
            driver.awaitUsed(transmitQueue(FIRST), 1);

            Thread writer = Thread.ofPlatform().start(() -> writeAll(client, bytes));
            assertArrayEquals(bytes, receive(FIRST, MEBIBYTE));
            writer.join();
        }
    }

    private static void writeAll(SocketChannel to, byte[] bytes) {
        try {
            write(to, bytes);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void outputIsOneSequenceHoweverItIsCutUp() throws Exception {
        begin();
        byte[] bytes = random(5000);
        driver.memory.write(DATA, bytes);
        try (SocketChannel client = connected(SECOND)) {
            driver.request(transmitQueue(SECOND), Buffer.toRead(DATA, 0));
            driver.request(
                    transmitQueue(SECOND),
                    Buffer.toRead(DATA, 1),
                    Buffer.toRead(DATA + 1, 4096),
                    Buffer.toRead(DATA + 4097, 903));
            assertArrayEquals(bytes, read(client, 5000));
        }
    }

    @Test
    void bytesForTheGuestWaitUntilItOpensThePort() throws Exception {
        begin();
        driver.submit(receiveQueue(FIRST), Buffer.toWrite(DATA, 16));
        try (SocketChannel client = connected(FIRST)) {
            write(client, new byte[] {'h', 'i'});
            driver.request(PortControl.TRANSMIT, Buffer.toRead(SAID, 8)); // the device was at work
            assertEquals(List.of(), driver.queues.get(receiveQueue(FIRST)).collect());
            assertFalse(device.isOpen("org.kaval.first"));

            say(FIRST, PortControl.PORT_OPEN, 1);

            assertEquals(2, driver.awaitUsed(receiveQueue(FIRST), 1).getFirst().written());
            assertTrue(device.isOpen("org.kaval.first"));
            assertFalse(device.isOpen("second"));
            say(FIRST, PortControl.PORT_OPEN, 0);
            until("it is closed", () -> !device.isOpen("org.kaval.first"));
        }
    }

    /// The end of one client is seen before the beginning of the next.
    @Test
    void nextClientComesWhenTheLastHasGone() throws Exception {
        begin();
        say(FIRST, PortControl.PORT_OPEN, 1);
        SocketChannel first = connected(FIRST);
        try (SocketChannel second = connect(FIRST)) {
            write(second, new byte[] {'2'});
            write(first, new byte[] {'1'});
            assertEquals('1', receive(FIRST, 1)[0]);
            first.close();
            driver.submit(receiveQueue(FIRST), Buffer.toWrite(DATA, 16));

            assertEquals("port 1 event 6 value 0", hear());
            assertEquals("port 1 event 6 value 1", hear());
            driver.awaitUsed(receiveQueue(FIRST), 1);
            assertEquals('2', driver.memory.readByte(DATA));
        }
    }

    /// Who has said all may still wait for the answer.
    @Test
    void clientThatSaysNoMoreStillHears() throws Exception {
        begin();
        say(FIRST, PortControl.PORT_OPEN, 1);
        try (SocketChannel client = connected(FIRST)) {
            write(client, new byte[] {'?'});
            client.shutdownOutput();
            assertEquals('?', receive(FIRST, 1)[0]);
            send(FIRST, new byte[] {'!'});
            assertArrayEquals(new byte[] {'!'}, read(client, 1));
        }
        assertEquals("port 1 event 6 value 0", hear());
    }

    @Test
    void whatAClientHasLeftIsReadToTheEnd() throws Exception {
        begin();
        SocketChannel client = connected(FIRST);
        write(client, "left".getBytes(US_ASCII));
        client.close();

        say(FIRST, PortControl.PORT_OPEN, 1);

        assertEquals("left", new String(receive(FIRST, 4), US_ASCII));
        driver.submit(receiveQueue(FIRST), Buffer.toWrite(DATA, 16));
        assertEquals("port 1 event 6 value 0", hear());
    }

    /// It would be in the way of others for as long as nobody in the guest opens the port.
    @Test
    void clientThatHasLeftNothingIsGoneAtOnce() throws Exception {
        begin();
        connected(FIRST).close();
        assertEquals("port 1 event 6 value 0", hear());
        connected(FIRST).close();
        assertEquals("port 1 event 6 value 0", hear());
    }

    /// And not kept for the next client, which would take it for its own.
    @Test
    void outputForNobodyIsDropped() throws Exception {
        begin();
        driver.memory.write(DATA, random(100));
        driver.request(transmitQueue(FIRST), Buffer.toRead(DATA, 100));
        try (SocketChannel client = connected(FIRST)) {
            send(FIRST, new byte[] {'x'});
            assertArrayEquals(new byte[] {'x'}, read(client, 1));
        }
    }

    @Test
    void clientThatDoesNotReadStallsItsPortOnly() throws Exception {
        begin();
        try (SocketChannel deaf = connected(FIRST);
                SocketChannel client = connected(SECOND)) {
            byte[] bytes = random(4 * MEBIBYTE - 1);
            send(FIRST, bytes);
            say(SECOND, PortControl.PORT_OPEN, 1);
            write(client, new byte[] {'q'});
            driver.submit(receiveQueue(SECOND), Buffer.toWrite(CONTROL + 0x2000, 16));
            assertEquals(1, driver.awaitUsed(receiveQueue(SECOND), 1).getFirst().written());
            driver.request(transmitQueue(SECOND), Buffer.toRead(CONTROL + 0x2000, 1));
            assertArrayEquals(new byte[] {'q'}, read(client, 1));
            assertEquals(List.of(), driver.queues.get(transmitQueue(FIRST)).collect());

            assertArrayEquals(bytes, read(deaf, bytes.length));
            driver.awaitUsed(transmitQueue(FIRST), 1);
        }
    }

    /// Whom the guest stalls, by no buffers.
    @Test
    void guestThatDoesNotReadStallsItsPortOnly() throws Exception {
        begin();
        say(FIRST, PortControl.PORT_OPEN, 1);
        say(SECOND, PortControl.PORT_OPEN, 1);
        try (SocketChannel stalled = connected(FIRST);
                SocketChannel client = connected(SECOND)) {
            write(stalled, new byte[1000]);
            write(client, random(1000));
            assertArrayEquals(random(1000), receive(SECOND, 1000));
            assertArrayEquals(new byte[1000], receive(FIRST, 1000));
        }
    }

    @Test
    void clientIsHungUpOnWithAReset() throws Exception {
        begin();
        try (SocketChannel client = connected(FIRST)) {
            driver.begin(MULTIPORT);
            assertEquals(-1, client.read(ByteBuffer.allocate(1)));
        }
        begin();
        connected(FIRST).close();
    }

    /// As for a snapshot, while the client holds up the output: it goes on where it was.
    @Test
    void heldOutputGoesOnWhereItWas() throws Exception {
        begin();
        byte[] bytes = random(3 * MEBIBYTE);
        try (SocketChannel client = connected(FIRST)) {
            send(FIRST, bytes);
            until("it is under way", () -> driver.control.queue(5).requests() == 1);
            driver.control.hold();
            assertTrue(driver.control.awaitIdle(TimeUnit.SECONDS.toNanos(30)));
            driver.control.persist(StateFields.saving());
            driver.control.release();
            assertArrayEquals(bytes, read(client, bytes.length));
            driver.awaitUsed(transmitQueue(FIRST), 1);
        }
    }

    /// A restored driver hears that the client has gone, and gets another; the port is still open.
    @Test
    void restoredPortsGetOtherClients() throws Exception {
        begin();
        say(FIRST, PortControl.PORT_OPEN, 1);
        SocketChannel before = connected(FIRST);
        driver.control.hold();
        assertTrue(driver.control.awaitIdle(TimeUnit.SECONDS.toNanos(30)));
        var state = StateFields.saving();
        driver.control.persist(state);
        driver.control.setStatus(0);
        driver.control.persist(StateFields.restoring(state.saved(), 0));
        driver.control.restored();
        driver.control.release();

        assertEquals(-1, before.read(ByteBuffer.allocate(1)));
        assertEquals("port 1 event 6 value 0", hear());
        try (SocketChannel client = connected(FIRST)) {
            write(client, new byte[] {'r'});
            assertEquals('r', receive(FIRST, 1)[0]);
            assertTrue(device.isOpen("org.kaval.first"));
        }
        before.close();
    }

    @Test
    void snapshotOfOtherPortsIsRefused() throws Exception {
        var state = StateFields.saving();
        device.persist(state);
        var one = List.of(new Port("one", directory.resolve("one")));
        try (VirtioPorts other = VirtioPorts.open("other", one)) {
            var saved = StateFields.restoring(state.saved(), 0);
            assertThrows(StateException.class, () -> other.persist(saved));
        }
    }

    /// A driver of one port only: what it prints goes nowhere, and nobody comes.
    @Test
    void driverWithoutSeveralPortsDoesNoHarm() {
        driver.begin(DEFAULT);
        driver.request(1, Buffer.toRead(DATA, 100));
        driver.submit(0, Buffer.toWrite(DATA, 100));
        driver.submit(PortControl.TRANSMIT, Buffer.toRead(SAID, 3));
        driver.request(1, Buffer.toRead(DATA, 100));
        assertEquals(3, driver.control.readConfig(4, 4));
        assertEquals(0, driver.control.status() & VirtioControl.NEEDS_RESET);
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "7, 0", "8, 1", "0, 8"})
    void controlMessageThatIsCutShortNeedsAReset(int readable, int writable) throws Exception {
        begin();
        try (SocketChannel client = connected(FIRST)) {
            driver.submit(
                    PortControl.TRANSMIT,
                    Buffer.toRead(SAID, readable),
                    Buffer.toWrite(SAID + 64, writable));
            driver.awaitNeedsReset();
            assertEquals(-1, client.read(ByteBuffer.allocate(1)));
        }
        driver.begin(MULTIPORT);
        begin();
    }

    /// In 22 bytes a message fits, but not the name of 15 bytes behind it.
    @ParameterizedTest
    @CsvSource({"0, 7", "1, 100", "0, 22"})
    void bufferThatTakesNoControlMessageNeedsAReset(int readable, int writable) {
        say(-1, PortControl.DEVICE_READY, 1);
        assertEquals("port 1 event 1 value 1", hear());
        assertEquals("port 2 event 1 value 1", hear());
        say(FIRST, PortControl.PORT_READY, 1);
        driver.submit(
                PortControl.RECEIVE,
                Buffer.toRead(DATA, readable),
                Buffer.toWrite(CONTROL, writable));
        driver.awaitNeedsReset();
        driver.begin(MULTIPORT);
        begin();
    }

    @ParameterizedTest
    @CsvSource({"1, 16", "0, 0"})
    void bufferForInputThatTakesNoneNeedsAReset(int readable, int writable) throws Exception {
        begin();
        say(FIRST, PortControl.PORT_OPEN, 1);
        try (SocketChannel client = connected(FIRST)) {
            write(client, new byte[] {'x'});
            driver.submit(
                    receiveQueue(FIRST),
                    Buffer.toRead(DATA, readable),
                    Buffer.toWrite(DATA, writable));
            driver.awaitNeedsReset();
        }
    }

    @Test
    void outputToWriteNeedsAReset() {
        driver.submit(transmitQueue(SECOND), Buffer.toWrite(DATA, 1));
        driver.awaitNeedsReset();
    }

    /// Ports that are not there, events that do not exist, and what makes no sense now: nothing
    /// comes of it.
    @Test
    void controlMessagesThatMeanNothingAreIgnored() throws Exception {
        say(FIRST, PortControl.PORT_READY, 1);
        say(FIRST, PortControl.PORT_OPEN, 1);
        say(-1, PortControl.DEVICE_READY, 0);
        for (int port : new int[] {0, 3, 0x7fff_ffff, 0x8000_0000, -1}) {
            say(port, PortControl.PORT_READY, 1);
            say(port, PortControl.PORT_OPEN, 1);
            say(port, PortControl.PORT_ADD, 1);
        }
        say(FIRST, 0xffff, 0xffff);
        assertFalse(device.isOpen("org.kaval.first"));

        begin();

        connected(FIRST).close();
    }

    /// With no buffer for answers, and with some then: each port says what is so, once.
    @Test
    void floodOfControlMessagesIsAnsweredOnce() throws Exception {
        for (int i = 0; i < 2000; i++) {
            say(-1, PortControl.DEVICE_READY, 1);
            say(FIRST, PortControl.PORT_READY, 1);
            say(FIRST, PortControl.PORT_OPEN, i & 1);
        }
        assertEquals("port 1 event 1 value 1", hear());
        assertEquals("port 1 event 7 value 1 org.kaval.first", hear());
        assertEquals("port 2 event 1 value 1", hear());
        connected(FIRST).close();
        assertEquals("port 1 event 6 value 0", hear());
    }

    /// The driver cannot use it: its client is hung up on, and no other comes.
    @Test
    void portThatTheDriverCannotUseHasNoClient() throws Exception {
        begin();
        try (SocketChannel client = connected(FIRST)) {
            say(FIRST, PortControl.PORT_READY, 0);
            assertEquals(-1, client.read(ByteBuffer.allocate(1)));
        }
    }

    @Test
    void socketIsItsOwnersAndGoesWithTheDevice() throws Exception {
        Path socket = directory.resolve("third");
        VirtioPorts third = VirtioPorts.open("third", List.of(new Port("3", socket)));
        assertEquals("rw-------", permissions(socket));
        third.close();
        assertFalse(Files.exists(socket));
    }

    private static String permissions(Path file) throws IOException {
        return java.nio.file.attribute.PosixFilePermissions.toString(
                Files.getPosixFilePermissions(file));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "a b", "a/b", "ä", "a,b", "12345678901234567890123456789012x"})
    void nameThatCannotBeIsRefused(String name) {
        String longer = name.length() > 8 ? name + name : name;
        assertThrows(
                IllegalArgumentException.class, () -> new Port(longer, directory.resolve("x")));
    }

    @Test
    void portsThatCannotBeAreRefused() {
        var port = new Port("a", directory.resolve("a"));
        var many = new Port[VirtioPorts.MAX_PORTS + 1];
        Arrays.setAll(many, i -> new Port("p" + i, directory.resolve("p" + i)));
        var inUse =
                List.of(
                        new Port("b", directory.resolve("b")),
                        new Port("c", directory.resolve("1")));
        assertThrows(
                IllegalArgumentException.class, () -> VirtioPorts.open("x", List.of(port, port)));
        assertThrows(IllegalArgumentException.class, () -> VirtioPorts.open("x", List.of(many)));
        assertThrows(IOException.class, () -> VirtioPorts.open("x", inUse));
        assertFalse(Files.exists(directory.resolve("b")));
        assertThrows(IllegalArgumentException.class, () -> device.isOpen("third"));
    }
}
