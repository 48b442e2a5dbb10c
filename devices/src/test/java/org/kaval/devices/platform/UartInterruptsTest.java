package org.kaval.devices.platform;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGeneratorFactory;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.devices.SerialConsole;
import org.kaval.devices.SerialPort;

/// A driver that looks at the UART only when it is interrupted, as Linux' does, while its console
/// is typed into and emptied by other threads: an edge that does not come when it is due is for
/// ever.
class UartInterruptsTest {
    private static final int SENT = 1 << 20;

    /// Long enough that only a hang takes it.
    private static final Duration LIMIT = Duration.ofMinutes(2);

    // registers, and bits in them, of the data sheet (TI PC16550D §8)
    private static final int DATA = 0;
    private static final int IER = 1;
    private static final int IIR = 2;
    private static final int FCR = 2;
    private static final int LSR = 5;
    private static final int RECEIVED = 1;
    private static final int TRANSMIT_EMPTY = 2;
    private static final int NONE = 1;
    private static final int DATA_READY = 1;
    private static final int SENDER_EMPTY = 0x20;

    /// Sends back what it receives. Its interrupt controller keeps one edge while it is busy.
    ///
    /// The transmitter's interrupt is enabled while there is something to send, as Linux does it;
    /// each time the FIFO is filled without another look.
    private static final class Driver {
        private final Semaphore edges = new Semaphore(0);
        private final Uart16550 uart;
        private final Queue<Integer> echo = new ArrayDeque<>();
        private final int burst;
        private int sent;

        /// Before anything comes: what changes the FIFO empties it.
        Driver(SerialPort port, int burst, int fifoControl) {
            this.uart = new Uart16550(port, edges::release);
            this.burst = burst;
            out(FCR, fifoControl);
        }

        private int in(int register) {
            return (int) uart.read(register, 1);
        }

        private void out(int register, int value) {
            uart.write(register, 1, value);
        }

        /// @return what it was waiting for in vain, null if nothing
        @Nullable String run() throws InterruptedException {
            out(IER, RECEIVED);
            while (sent < SENT) {
                if (!edges.tryAcquire(LIMIT.toSeconds(), TimeUnit.SECONDS)) {
                    return "no edge after %d bytes, %d to be sent, IIR is 0x%x, LSR 0x%x"
                            .formatted(sent, echo.size(), in(IIR), in(LSR));
                }
                edges.drainPermits();
                while ((in(IIR) & NONE) == 0) {
                    serve();
                }
            }
            return null;
        }

        private void serve() {
            int status = in(LSR);
            while ((status & DATA_READY) != 0 && echo.size() < burst * 4) {
                echo.add(in(DATA));
                status = in(LSR);
            }
            if (!echo.isEmpty()) {
                out(IER, RECEIVED | TRANSMIT_EMPTY);
            }
            if ((status & SENDER_EMPTY) != 0) {
                for (int i = 0; i < burst && !echo.isEmpty(); i++) {
                    out(DATA, echo.remove());
                    sent++;
                }
            }
            if (echo.isEmpty()) {
                out(IER, RECEIVED);
            }
        }
    }

    /// Stops now and then, so that what waits for it fills up.
    private static final class FitfulSink extends OutputStream {
        private final ByteArrayOutputStream taken = new ByteArrayOutputStream();
        private int writes;

        @Override
        public void write(int value) {
            taken.write(value);
        }

        @Override
        public void write(byte[] bytes, int from, int count) throws IOException {
            if (++writes % 16 == 0) {
                pause();
            }
            taken.write(bytes, from, count);
        }

        private static void pause() throws IOException {
            try {
                Thread.sleep(20);
            } catch (InterruptedException e) {
                throw new InterruptedIOException();
            }
        }
    }

    private static void type(SerialConsole console, byte[] bytes) {
        int typed = 0;
        while (typed < bytes.length && !Thread.currentThread().isInterrupted()) {
            int end = Math.min(bytes.length, typed + 1 + (bytes[typed] & 0x3f));
            typed += console.type(bytes, typed, end);
        }
    }

    /// With the FIFO off, and on with each trigger level.
    @ParameterizedTest
    @CsvSource({"1, 0", "16, 0x01", "16, 0x41", "16, 0x81", "16, 0xc1", "1, 0xc1"})
    void edgesAreEnoughForADriver(int burst, int fifoControl) throws Exception {
        byte[] typed = new byte[SENT];
        RandomGeneratorFactory.of("L64X128MixRandom").create(fifoControl).nextBytes(typed);
        var sink = new FitfulSink();
        var console = new SerialConsole("echo", sink);
        var driver = new Driver(console, burst, fifoControl);
        console.connect(driver.uart::portChanged);
        Thread typing = Thread.ofPlatform().daemon().start(() -> type(console, typed));

        String hang = driver.run();

        typing.interrupt();
        typing.join();
        console.close();
        assertNull(hang);
        assertEquals(0, console.lostBytes());
        assertArrayEquals(typed, sink.taken.toByteArray());
    }
}
