package org.kaval.devices;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.linux.Epoll;
import org.kaval.linux.Fd;

class SerialConsoleTest {
    private static final int OUTPUT_CAPACITY = 64 << 10;
    private static final int INPUT_CAPACITY = 4 << 10;

    /// For all of a test's input.
    private static final Duration RECEIVE_LIMIT = Duration.ofSeconds(15);

    @TempDir private Path directory;

    /// Takes nothing until it is told to, and everything then.
    private static final class BlockedSink extends OutputStream {
        private final CountDownLatch released = new CountDownLatch(1);
        private final CountDownLatch reached = new CountDownLatch(1);
        private final ByteArrayOutputStream written = new ByteArrayOutputStream();

        @Override
        public void write(int value) throws IOException {
            write(new byte[] {(byte) value}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int from, int count) throws IOException {
            reached.countDown();
            try {
                released.await();
            } catch (InterruptedException e) {
                throw new IOException("interrupted", e);
            }
            written.write(bytes, from, count);
        }
    }

    /// Fails whenever it is written to.
    private static final class FailingSink extends OutputStream {
        private final AtomicInteger tries = new AtomicInteger();

        @Override
        public void write(int value) throws IOException {
            tries.incrementAndGet();
            throw new IOException("the reader has gone");
        }
    }

    private static byte[] randomBytes(int count) {
        byte[] bytes = new byte[count];
        RandomGeneratorFactory.of("L64X128MixRandom").create(count).nextBytes(bytes);
        return bytes;
    }

    private static void sendWhenPossible(SerialConsole console, byte[] bytes) {
        for (byte value : bytes) {
            while (!console.canSend()) {
                Thread.onSpinWait();
            }
            assertTrue(console.send(value));
        }
    }

    /// Sends until the console says that it is full; returns how many bytes that took.
    private static int fill(SerialConsole console) {
        int sent = 0;
        while (console.canSend()) {
            assertTrue(console.send((byte) sent));
            sent++;
        }
        return sent;
    }

    /// Receives `count` bytes, as a guest that polls does.
    private static byte[] receive(SerialConsole console, int count) {
        byte[] bytes = new byte[count];
        long end = System.nanoTime() + RECEIVE_LIMIT.toNanos();
        for (int i = 0; i < count; i++) {
            int value = console.receive();
            while (value < 0) {
                assertTrue(System.nanoTime() < end, i + " bytes have come, and then none");
                Thread.onSpinWait();
                value = console.receive();
            }
            bytes[i] = (byte) value;
        }
        return bytes;
    }

    @Test
    void outputArrivesInOrder() {
        byte[] sent = randomBytes(300_000);
        var sink = new ByteArrayOutputStream();
        var console = new SerialConsole("test", sink);

        sendWhenPossible(console, sent);
        console.close();

        assertArrayEquals(sent, sink.toByteArray());
        assertEquals(0, console.lostBytes());
    }

    @Test
    void closeWritesWhatIsLeftAndEndsTheThread() {
        var sink = new ByteArrayOutputStream();
        var console = new SerialConsole("left", sink);
        assertTrue(Host.hasThread("left-out"));
        console.send((byte) 'x');
        console.close();

        assertEquals("x", sink.toString(US_ASCII));
        assertFalse(Host.hasThread("left-out"));
    }

    @Test
    void closingTwiceIsHarmless() {
        var console = new SerialConsole("test", OutputStream.nullOutputStream());
        console.close();
        console.close();

        assertFalse(Host.hasThread("test-out"));
    }

    @Test
    void outputAfterCloseIsLostAndCounted() {
        var console = new SerialConsole("test", OutputStream.nullOutputStream());
        console.close();

        assertFalse(console.send((byte) 'x'));
        assertEquals(1, console.lostBytes());
    }

    @Test
    void blockedSinkNeverBlocksTheGuest() throws Exception {
        var sink = new BlockedSink();
        var console = new SerialConsole("test", sink);
        console.send((byte) 'x');
        sink.reached.await();

        int sent = fill(console);
        while (console.send((byte) 'y')) {
            sent++;
        }
        long lost = console.lostBytes();
        sink.released.countDown();
        console.close();

        assertEquals(OUTPUT_CAPACITY, sent);
        assertEquals(1, lost);
        assertEquals(1 + sent, sink.written.size());
    }

    /// Linux writes as much as the transmit FIFO holds once it has seen THRE, and does not look
    /// again in between.
    @Test
    void guestThatLooksOncePerFifoLosesNothing() throws Exception {
        var sink = new BlockedSink();
        var console = new SerialConsole("test", sink);
        console.send((byte) 'x');
        sink.reached.await();
        console.send((byte) 'y'); // what follows does not end at the queue's end

        int sent = 0;
        while (console.canSend()) {
            for (int i = 0; i < SerialPort.BURST; i++) {
                console.send((byte) i);
            }
            sent += SerialPort.BURST;
        }
        long lost = console.lostBytes();
        sink.released.countDown();
        console.close();

        assertEquals(0, lost);
        assertEquals(2 + sent, sink.written.size());
    }

    @Test
    void fullOneRecoversAndSaysSo() throws Exception {
        var sink = new BlockedSink();
        var console = new SerialConsole("test", sink);
        var changes = new AtomicInteger();
        console.connect(changes::incrementAndGet);
        console.send((byte) 'x');
        sink.reached.await();
        fill(console);
        int before = changes.get();

        sink.released.countDown();

        Host.until("it has room", console::canSend);
        Host.until("it has said so", () -> changes.get() > before);
        console.close();
        assertEquals(0, console.lostBytes());
    }

    @Test
    void failingSinkIsReportedOnceAndTheGuestGoesOn() throws Exception {
        try (var log = new CapturedLog(SerialConsole.class)) {
            var sink = new FailingSink();
            var console = new SerialConsole("serial9", sink);
            console.send((byte) 'x');
            Host.until("the sink has failed", () -> console.lostBytes() == 1);

            sendWhenPossible(console, new byte[200_000]);
            console.close();

            assertEquals(200_001, console.lostBytes());
            assertEquals(1, sink.tries.get());
            assertEquals(List.of("serial9: output is discarded: the reader has gone"), log.lines());
        }
    }

    /// The same happens after the limit of 10 s, which a test does not wait for.
    @Test
    void closeOfAnInterruptedThreadGivesUpAReaderThatNeverReads() throws Exception {
        try (var log = new CapturedLog(SerialConsole.class)) {
            var sink = new BlockedSink();
            var console = new SerialConsole("stuck", sink);
            console.send((byte) 'x');
            sink.reached.await();

            boolean interrupted =
                    assertTimeoutPreemptively(
                            Host.LIMIT,
                            () -> {
                                Thread.currentThread().interrupt();
                                console.close();
                                return Thread.interrupted();
                            });

            assertTrue(interrupted, "the caller's interrupt is kept");
            Host.until("the thread has ended", () -> !Host.hasThread("stuck-out"));
            assertEquals(0, sink.written.size());
            assertEquals(List.of("stuck: output is discarded: interrupted"), log.lines());
        }
    }

    @Test
    void sendAndReceiveAllocateNothing() {
        var console = new SerialConsole("test", OutputStream.nullOutputStream());
        byte[] one = {'x'};

        long bytes =
                Host.allocatedBytes(() -> {
                    console.canSend();
                    console.send((byte) 'x');
                    console.type(one, 0, 1);
                    console.receive();
                });

        console.close();
        assertEquals(0, bytes);
    }

    @Test
    void typedBytesAreReceivedUnsignedAndInOrder() {
        var console = new SerialConsole("test", OutputStream.nullOutputStream());
        byte[] typed = {1, -1, 3};

        assertEquals(3, console.type(typed, 0, 3));
        assertArrayEquals(typed, receive(console, 3));
        assertEquals(-1, console.receive());
        console.close();
    }

    @Test
    void typingTellsTheUart() {
        var console = new SerialConsole("test", OutputStream.nullOutputStream());
        var changes = new AtomicInteger();
        console.connect(changes::incrementAndGet);

        console.type(new byte[1], 0, 1);

        assertEquals(1, changes.get());
        console.close();
    }

    @Test
    void typingMoreThanThereIsRoomForTakesAPart() {
        var console = new SerialConsole("test", OutputStream.nullOutputStream());
        byte[] typed = randomBytes(INPUT_CAPACITY + 100);

        assertEquals(INPUT_CAPACITY, console.type(typed, 0, typed.length));
        assertEquals(0, console.type(typed, INPUT_CAPACITY, typed.length));
        receive(console, 60);
        assertEquals(60, console.type(typed, INPUT_CAPACITY, typed.length));
        console.close();
    }

    /// More than the queue and the pipe hold together, and a guest that reads fast and slowly.
    @ParameterizedTest
    @ValueSource(ints = {1, INPUT_CAPACITY, INPUT_CAPACITY + 1, 200_000, 8 << 20})
    void inputFromAPipeArrivesWhole(int size) throws Exception {
        byte[] sent = randomBytes(size);
        try (var pipe = Host.Pipe.in(directory);
                var loop = EventLoop.start("test-loop", bug -> {});
                var console = new SerialConsole("test", OutputStream.nullOutputStream())) {
            console.readFrom(pipe.source(), loop);
            Thread writing = startWriting(pipe.sink(), sent);

            assertArrayEquals(sent, receive(console, size));
            writing.join();
        }
    }

    private static Thread startWriting(OutputStream sink, byte[] bytes) {
        return Thread.ofPlatform()
                .daemon()
                .start(() -> {
                    try {
                        sink.write(bytes);
                        sink.close();
                    } catch (IOException e) {
                        throw new AssertionError(e);
                    }
                });
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, INPUT_CAPACITY, INPUT_CAPACITY + 1, 200_000, 8 << 20})
    void inputFromAFileArrivesWhole(int size) throws Exception {
        byte[] sent = randomBytes(size);
        Path file = Files.write(directory.resolve("input"), sent);
        try (var source = Fd.open(file, Fd.Access.READ);
                var loop = EventLoop.start("test-loop", bug -> {});
                var console = new SerialConsole("test", OutputStream.nullOutputStream())) {
            console.readFrom(source, loop);

            assertArrayEquals(sent, receive(console, size));
            assertEquals(-1, console.receive());
        }
    }

    /// A loop that were woken whenever there is room would read once for each of the test's waits,
    /// if not for each byte.
    @Test
    void inputThatTheGuestTakesInBitsIsReadInLargePieces() throws Exception {
        int bit = 64;
        int bits = INPUT_CAPACITY;
        byte[] sent = randomBytes(bit * bits);
        Path file = Files.write(directory.resolve("input"), sent);
        try (var source = Fd.open(file, Fd.Access.READ);
                var loop = EventLoop.start("test-loop", bug -> {});
                var console = new SerialConsole("test", OutputStream.nullOutputStream())) {
            var received = new ByteArrayOutputStream();
            console.readFrom(source, loop);
            long before = Host.readCalls();
            for (int i = 0; i < bits; i++) {
                awaitIdle(loop);
                received.writeBytes(receive(console, bit));
            }
            long calls = Host.readCalls() - before;

            assertArrayEquals(sent, received.toByteArray());
            // each wait makes the loop read its eventfd
            assertTrue(calls < bits * 3 / 2, calls + " reads for " + bits + " waits");
        }
    }

    @Test
    void typingStillWorksAfterAnEmptySource() throws Exception {
        try (var source = Fd.open(Path.of("/dev/null"), Fd.Access.READ);
                var loop = EventLoop.start("test-loop", bug -> {});
                var console = new SerialConsole("test", OutputStream.nullOutputStream())) {
            console.readFrom(source, loop);
            awaitIdle(loop);

            console.type("ok".getBytes(US_ASCII), 0, 2);

            assertEquals("ok", new String(receive(console, 2), US_ASCII));
        }
    }

    private static void awaitIdle(EventLoop loop) throws InterruptedException {
        var idle = new CountDownLatch(1);
        loop.execute(idle::countDown);
        assertTrue(idle.await(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
    }

    @Test
    void sourceThatEndsIsWatchedNoLonger() throws Exception {
        try (var pipe = Host.Pipe.in(directory);
                var loop = EventLoop.start("ended-loop", bug -> {});
                var console = new SerialConsole("test", OutputStream.nullOutputStream())) {
            console.readFrom(pipe.source(), loop);
            pipe.sink().close();
            awaitIdle(loop);

            assertIdle(loop, "ended-loop");
        }
    }

    /// The other end of a pipe that is closed is reported for ever (epoll_ctl(2), `EPOLLHUP`), also
    /// while nobody asks: the guest may take its time all the same.
    @Test
    void sourceThatEndsWhileTheQueueIsFullCostsNoProcessorTime() throws Exception {
        byte[] sent = randomBytes(2 * INPUT_CAPACITY);
        try (var pipe = Host.Pipe.in(directory);
                var loop = EventLoop.start("full-loop", bug -> {});
                var console = new SerialConsole("test", OutputStream.nullOutputStream())) {
            pipe.sink().write(sent);
            pipe.sink().close();
            console.readFrom(pipe.source(), loop);
            awaitIdle(loop);

            assertIdle(loop, "full-loop");
            assertArrayEquals(sent, receive(console, sent.length));
        }
    }

    /// A loop that spins has used about as much processor time as went by.
    private static void assertIdle(EventLoop loop, String threadName) throws Exception {
        Duration before = Host.processorTime(threadName);
        Thread.sleep(Duration.ofMillis(300));
        Duration used = Host.processorTime(threadName).minus(before);
        awaitIdle(loop);

        assertTrue(used.toMillis() < 100, () -> threadName + " used " + used);
    }

    @Test
    void sourceThatCannotBeReadIsReportedAndTheGuestGoesOn() throws Exception {
        try (var log = new CapturedLog(SerialConsole.class);
                var loopLog = new CapturedLog(EventLoop.class);
                var source = Fd.open(directory, Fd.Access.READ); // EISDIR
                var loop = EventLoop.start("test-loop", bug -> {});
                var console = new SerialConsole("serial9", OutputStream.nullOutputStream())) {
            console.readFrom(source, loop);
            awaitIdle(loop);

            assertEquals(List.of("serial9: read on %s: EISDIR".formatted(directory)), log.lines());
            assertEquals(List.of(), loopLog.lines());
            assertEquals(1, console.type(new byte[1], 0, 1));
        }
    }

    @Test
    void loopStillServesOthersWhileTheQueueIsFull() throws Exception {
        try (var pipe = Host.Pipe.in(directory);
                var other = Host.Pipe.in(directory);
                var loop = EventLoop.start("test-loop", bug -> {});
                var console = new SerialConsole("test", OutputStream.nullOutputStream())) {
            console.readFrom(pipe.source(), loop);
            pipe.sink().write(new byte[2 * INPUT_CAPACITY]);
            var served = new CountDownLatch(1);
            loop.execute(() -> register(loop, other.source(), served));
            other.sink().write(1);

            assertTrue(served.await(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
        }
    }

    private static void register(EventLoop loop, Fd fd, CountDownLatch served) {
        try {
            loop.register(
                    fd,
                    Epoll.IN,
                    _ -> {
                        fd.read(new byte[1]);
                        served.countDown();
                    });
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void filterSeesInputFirstAndMayKeepSome() throws Exception {
        Path file = Files.writeString(directory.resolve("typed"), "a#b#c");
        InputFilter noHashes =
                (bytes, count) -> {
                    String kept = new String(bytes, 0, count, US_ASCII).replace("#", "");
                    System.arraycopy(kept.getBytes(US_ASCII), 0, bytes, 0, kept.length());
                    return kept.length();
                };
        try (Fd source = Fd.open(file, Fd.Access.READ);
                var loop = EventLoop.start("test-loop", bug -> {});
                var console =
                        new SerialConsole("test", OutputStream.nullOutputStream(), noHashes)) {
            console.readFrom(source, loop);
            assertEquals("abc", new String(receive(console, 3), US_ASCII));
        }
    }

    @Test
    void filterSeesWhatComesAfterAMegabyteThatTheGuestDoesNotRead() throws Exception {
        // less than what fits, so that the guest need not read for the end to be seen
        byte[] pasted = new byte[1_000_000];
        pasted[pasted.length - 1] = '#';
        Path file = Files.write(directory.resolve("pasted"), pasted);
        var seen = new CountDownLatch(1);
        InputFilter filter =
                (bytes, count) -> {
                    if (bytes[count - 1] == '#') {
                        seen.countDown();
                    }
                    return count;
                };
        try (Fd source = Fd.open(file, Fd.Access.READ);
                var loop = EventLoop.start("test-loop", bug -> {});
                var console = new SerialConsole("test", OutputStream.nullOutputStream(), filter)) {
            console.readFrom(source, loop);
            assertTrue(seen.await(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
        }
    }

    @Test
    void typingAllWaitsForTheGuest() throws Exception {
        byte[] typed = randomBytes(3 * INPUT_CAPACITY);
        try (var console = new SerialConsole("test", OutputStream.nullOutputStream())) {
            var typist = CompletableFuture.supplyAsync(() -> typeAll(console, typed));
            assertArrayEquals(typed, receive(console, typed.length));
            assertTrue(typist.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
        }
    }

    @Test
    void typingAllEndsWithTheConsole() throws Exception {
        var console = new SerialConsole("test", OutputStream.nullOutputStream());
        byte[] typed = randomBytes(2 * INPUT_CAPACITY);
        var typist = CompletableFuture.supplyAsync(() -> typeAll(console, typed));
        receive(console, 1); // so it has begun
        console.close();
        assertFalse(typist.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
    }

    private static boolean typeAll(SerialConsole console, byte[] bytes) {
        try {
            return console.typeAll(bytes, 0, bytes.length);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /// In a process of its own: this one's standard input may be how it is controlled.
    @ParameterizedTest
    @ValueSource(strings = {"", "typed ahead"})
    void standardInputIsReadToItsEnd(String text) throws Exception {
        Process child = startStandardInputReader(ProcessBuilder.Redirect.PIPE, text.length());
        child.getOutputStream().write(text.getBytes(US_ASCII));
        child.getOutputStream().close();

        assertEquals("<" + text + ">", outputOf(child));
    }

    @Test
    void standardInputThatIsNothingIsAtItsEnd() throws Exception {
        Process child =
                startStandardInputReader(ProcessBuilder.Redirect.from(new File("/dev/null")), 0);

        assertEquals("<>", outputOf(child));
    }

    private static Process startStandardInputReader(ProcessBuilder.Redirect input, int expected)
            throws IOException {
        return new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path"),
                        StandardInputReader.class.getName(),
                        Integer.toString(expected))
                .redirectInput(input)
                .redirectErrorStream(true)
                .start();
    }

    private static String outputOf(Process child) throws Exception {
        assertTrue(child.waitFor(Host.LIMIT.toSeconds(), TimeUnit.SECONDS), "it has ended");
        return new String(child.getInputStream().readAllBytes(), US_ASCII);
    }

    /// Prints the bytes that a console has from standard input, as many as are expected.
    static final class StandardInputReader {
        private StandardInputReader() {}

        public static void main(String[] arguments) throws Exception {
            int expected = Integer.parseInt(arguments[0]);
            try (var source = Fd.duplicateOfStandardInput();
                    var loop = EventLoop.start("test-loop", bug -> {});
                    var console = new SerialConsole("test", OutputStream.nullOutputStream())) {
                console.readFrom(source, loop);
                String text = new String(SerialConsoleTest.receive(console, expected), US_ASCII);
                awaitIdle(loop);
                System.out.print("<" + text + ">");
                System.out.flush();
            }
        }
    }
}
