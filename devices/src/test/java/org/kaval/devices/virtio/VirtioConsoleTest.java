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

import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.devices.SerialConsole;
import org.kaval.devices.StateFields;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.GuestDriver.Used;
import org.kaval.linux.ErrnoException;

class VirtioConsoleTest {
    private static final int RECEIVE = 0;
    private static final int TRANSMIT = 1;
    private static final int MEBIBYTE = 1 << 20;

    /// A reader that takes each write for a permit.
    private static final class Sink extends OutputStream {
        private Runnable onWrite = () -> {};
        private final Semaphore permits = new Semaphore(Integer.MAX_VALUE / 2);
        private final ByteArrayOutputStream written = new ByteArrayOutputStream();

        @Override
        public void write(int value) {
            write(new byte[] {(byte) value}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int from, int count) {
            permits.acquireUninterruptibly();
            onWrite.run();
            synchronized (written) {
                written.write(bytes, from, count);
            }
        }

        byte[] written() {
            synchronized (written) {
                return written.toByteArray();
            }
        }
    }

    private final Sink sink = new Sink();
    private final SerialConsole serial = new SerialConsole("serial", sink);
    private final VirtioConsole console = new VirtioConsole("console", serial.virtioPort());
    private DeviceDriver driver;

    @BeforeEach
    void open() throws ErrnoException {
        driver = new DeviceDriver(console);
        driver.begin(DEFAULT | VirtioConsole.F_SIZE);
    }

    @AfterEach
    void close() {
        sink.permits.release(Integer.MAX_VALUE / 4);
        driver.close();
        serial.close();
    }

    private static byte[] random(int size) {
        byte[] bytes = new byte[size];
        new Random(size).nextBytes(bytes);
        return bytes;
    }

    private void print(String text) {
        driver.memory.write(DATA, text.getBytes(US_ASCII));
        driver.request(TRANSMIT, Buffer.toRead(DATA, text.length()));
    }

    private int type(String text) {
        return serial.type(text.getBytes(US_ASCII), 0, text.length());
    }

    @Test
    void outputArrivesInOrderHoweverItIsCutUp() {
        byte[] bytes = random(MEBIBYTE);
        driver.memory.write(DATA, bytes);
        Used used =
                driver.request(
                        TRANSMIT,
                        Buffer.toRead(DATA, 1),
                        Buffer.toRead(DATA + 1, 4095),
                        Buffer.toRead(DATA + 4096, 99_999),
                        Buffer.toRead(DATA + 104_095, MEBIBYTE - 104_095));

        assertEquals(0, used.written());
        until("all has come", () -> sink.written().length == MEBIBYTE);
        assertArrayEquals(bytes, sink.written());
        assertEquals(0, serial.lostBytes());
    }

    @Test
    void outputWaitsForItsReaderAndIsNotLost() {
        sink.permits.drainPermits();
        byte[] bytes = random(MEBIBYTE);
        driver.memory.write(DATA, bytes);
        driver.submit(TRANSMIT, Buffer.toRead(DATA, MEBIBYTE));
        until("the guest waits", () -> !serial.canSend() || serial.virtioUsed());
        assertEquals(List.of(), driver.queues.get(TRANSMIT).collect());

        sink.permits.release(MEBIBYTE);

        driver.awaitUsed(TRANSMIT, 1);
        until("all has come", () -> sink.written().length == MEBIBYTE);
        assertArrayEquals(bytes, sink.written());
    }

    /// What a UART does that has seen that there is room for a burst.
    @Test
    void thereIsRoomForABurstOfTheUartAlways() {
        sink.permits.drainPermits();
        driver.submit(TRANSMIT, Buffer.toRead(DATA, MEBIBYTE));
        until("the writer waits", () -> sink.permits.hasQueuedThreads());
        until(
                "it is full but for that",
                () -> driver.control.queue(TRANSMIT).requests() == 1 && serial.virtioUsed());
        for (int i = 0; i < SerialConsole.BURST; i++) {
            assertTrue(serial.send((byte) i));
        }
        sink.permits.release(MEBIBYTE);
        until("all has come", () -> sink.written().length == MEBIBYTE + SerialConsole.BURST);
    }

    @Test
    void inputIsTheUartsUntilTheGuestHasUsedTheConsole() {
        type("a");
        driver.submit(RECEIVE, Buffer.toWrite(DATA + 0x1000, 16));
        assertEquals('a', serial.receive());

        print("login: ");
        type("root");

        assertEquals(new Used(0, 4), driver.awaitUsed(RECEIVE, 1).getFirst());
        assertArrayEquals("root".getBytes(US_ASCII), driver.read(DATA + 0x1000, 4));
        assertEquals(-1, serial.receive());
    }

    /// Whoever reads the prompt may answer before the device's thread does anything else.
    @Test
    void inputIsTheConsolesBeforeItsFirstOutputIsSeen() {
        sink.onWrite =
                () -> {
                    type("answer");
                    assertEquals(-1, serial.receive());
                };
        driver.submit(RECEIVE, Buffer.toWrite(DATA + 0x1000, 16));

        print("login: ");

        assertEquals(new Used(0, 6), driver.awaitUsed(RECEIVE, 1).getFirst());
    }

    @Test
    void whatWasTypedBeforeIsNotLost() {
        type("early");
        driver.submit(RECEIVE, Buffer.toWrite(DATA + 0x1000, 16));

        print("$ ");

        assertEquals(5, driver.awaitUsed(RECEIVE, 1).getFirst().written());
        assertArrayEquals("early".getBytes(US_ASCII), driver.read(DATA + 0x1000, 5));
    }

    @Test
    void inputGoesBackToTheUartWithAReset() {
        print("$ ");
        type("x");
        assertEquals(-1, serial.receive());

        driver.begin(DEFAULT);

        assertEquals('x', serial.receive());
        assertFalse(serial.switchInput());
    }

    @Test
    void inputCanBeSwitched() {
        print("$ ");
        assertTrue(serial.switchInput());
        type("x");
        assertEquals('x', serial.receive());
        driver.submit(RECEIVE, Buffer.toWrite(DATA, 4));

        assertTrue(serial.switchInput());
        type("y");

        assertEquals(1, driver.awaitUsed(RECEIVE, 1).getFirst().written());
        assertEquals('y', driver.memory.readByte(DATA));
    }

    /// Buffers are few, and come when the guest has read the earlier ones.
    @Test
    void pasteArrivesWhole() throws Exception {
        print("$ ");
        byte[] pasted = random(MEBIBYTE);
        Thread person = Thread.ofPlatform().start(() -> typeAll(pasted));
        var read = new ByteArrayOutputStream();
        while (read.size() < MEBIBYTE) {
            driver.submit(RECEIVE, Buffer.toWrite(DATA, 100), Buffer.toWrite(DATA + 0x1000, 4000));
            int count = (int) driver.awaitUsed(RECEIVE, 1).getFirst().written();
            read.write(driver.read(DATA, Math.min(count, 100)));
            read.write(driver.read(DATA + 0x1000, Math.max(count - 100, 0)));
        }
        person.join();

        assertArrayEquals(pasted, read.toByteArray());
    }

    private void typeAll(byte[] bytes) {
        try {
            assertTrue(serial.typeAll(bytes, 0, bytes.length));
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void driverHearsOfTheSizeOnceItUsesTheConsole() {
        console.resize(132, 43);
        assertEquals(0, driver.configChanges.get());

        print("$ ");
        until("it is told", () -> driver.configChanges.get() == 1);
        assertEquals(132, driver.control.readConfig(0, 2));
        assertEquals(43, driver.control.readConfig(2, 2));
        assertEquals(1, driver.control.readConfig(4, 4));

        console.resize(80, 24);
        assertEquals(2, driver.configChanges.get());
        assertEquals(80 | 24 << 16, driver.control.readConfig(0, 4));
    }

    /// As for a snapshot, while the reader holds up the output.
    @Test
    void outputIsPutBackWhereItIsHeldUpAndGoesOnThere() throws Exception {
        console.resize(80, 24);
        sink.permits.drainPermits();
        byte[] bytes = random(MEBIBYTE);
        driver.memory.write(DATA, bytes);
        driver.submit(TRANSMIT, Buffer.toRead(DATA, MEBIBYTE));
        until("the writer waits", () -> sink.permits.hasQueuedThreads());

        driver.control.hold();
        assertTrue(driver.control.awaitIdle(TimeUnit.SECONDS.toNanos(30)));
        var state = StateFields.saving();
        driver.control.persist(state);
        driver.control.setStatus(0);
        driver.control.persist(StateFields.restoring(state.saved(), 0));
        driver.control.restored();
        driver.control.release();

        sink.permits.release(MEBIBYTE);
        driver.awaitUsed(TRANSMIT, 1);
        until("all has come", () -> sink.written().length == MEBIBYTE);
        assertArrayEquals(bytes, sink.written());
        assertTrue(serial.virtioUsed());
        assertEquals(80 | 24 << 16, driver.control.readConfig(0, 4));
    }

    @ParameterizedTest
    @CsvSource({"-1, 0", "65536, 0", "0, -1", "0, 65536"})
    void sizeThatCannotBeIsRefused(int columns, int rows) {
        assertThrows(IllegalArgumentException.class, () -> console.resize(columns, rows));
    }

    @Test
    void emergencyWriteNeedsNoQueues() {
        driver.control.setStatus(0);
        driver.control.writeConfig(8, 4, 0xffff_ff21L);
        driver.control.writeConfig(0, 4, 7);
        driver.control.writeConfig(8, 1, 7);

        until("it has come", () -> sink.written().length > 0);
        assertArrayEquals(new byte[] {'!'}, sink.written());
        assertFalse(serial.virtioUsed());
    }

    @Test
    void outputOfNothingIsDone() {
        driver.request(TRANSMIT, Buffer.toRead(DATA, 0));
        print("x");
        until("it has come", () -> Arrays.equals(sink.written(), new byte[] {'x'}));
    }

    @Test
    void outputToWriteNeedsAReset() {
        driver.submit(TRANSMIT, Buffer.toWrite(DATA, 1));
        driver.awaitNeedsReset();
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "1, 1"})
    void bufferForInputThatTakesNoneNeedsAReset(int readable, int writable) {
        print("$ ");
        type("x");
        driver.submit(RECEIVE, Buffer.toRead(DATA, readable), Buffer.toWrite(DATA, writable));
        driver.awaitNeedsReset();

        driver.begin(DEFAULT);
        assertEquals('x', serial.receive());
    }

    /// While the reader holds it up, with more to send than ever ends.
    @Test
    void resetDoesNotWaitForOutput() {
        sink.permits.drainPermits();
        var much = new Buffer[VirtioConsole.QUEUE_SIZE];
        Arrays.fill(much, Buffer.toRead(DATA, 4 << 20));
        driver.submit(TRANSMIT, much);
        until("the writer waits", () -> sink.permits.hasQueuedThreads());

        driver.control.setStatus(0);

        assertEquals(0, driver.control.status());
        assertTrue(sink.written().length == 0, "the reader has had nothing");
    }
}
