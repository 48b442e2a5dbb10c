package org.kaval.machine.trace;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class TraceTest {
    private static final Set<TraceKind> PIO = Set.of(TraceKind.PIO);
    private static final long NO_LIMIT = Long.MAX_VALUE;

    private final ByteArrayOutputStream output = new ByteArrayOutputStream();

    private List<String> lines() {
        return output.toString(UTF_8).lines().toList();
    }

    @Test
    void kindsAreToldApart() {
        try (Trace trace = Trace.start(PIO, output)) {
            assertTrue(trace.isOn());
            assertTrue(trace.isOn(TraceKind.PIO));
            assertFalse(trace.isOn(TraceKind.MMIO));
        }
        assertFalse(Trace.OFF.isOn());
    }

    @Test
    void lineHasTimeThreadAndKind() throws Exception {
        Thread.currentThread().setName("vcpu-3");
        try (Trace trace = Trace.start(PIO, output)) {
            trace.add(TraceKind.PIO, () -> "read  0x60");
        }

        assertEquals(1, lines().size());
        String line = lines().getFirst();
        assertTrue(line.matches(" +\\d+\\.\\d{6} vcpu-3       pio    read  0x60"), line);
    }

    @Test
    void closeWritesAllThatWasAdded() {
        try (Trace trace = Trace.start(PIO, output)) {
            IntStream.range(0, 10_000).forEach(i -> trace.add(TraceKind.PIO, () -> "no " + i));
        }

        assertEquals(10_000, lines().size());
        assertTrue(lines().getLast().endsWith("no 9999"));
    }

    @Test
    void whatASlowReaderMissesIsCounted() throws Exception {
        var blocked = new CountDownLatch(1);
        var goOn = new CountDownLatch(1);
        var slow =
                new OutputStream() {
                    @Override
                    public void write(int b) {
                        throw new AssertionError("one byte");
                    }

                    @Override
                    public void write(byte[] bytes) throws IOException {
                        blocked.countDown();
                        try {
                            goOn.await();
                        } catch (InterruptedException e) {
                            throw new IOException(e);
                        }
                        output.write(bytes);
                    }
                };
        try (Trace trace = Trace.start(PIO, slow, 10, NO_LIMIT)) {
            trace.add(TraceKind.PIO, () -> "first");
            blocked.await();
            IntStream.range(0, 1_010).forEach(i -> trace.add(TraceKind.PIO, () -> "no " + i));
            goOn.countDown();
        }

        assertEquals(12, lines().size());
        assertTrue(lines().get(10).endsWith("no 9"));
        assertEquals(
                "... 1,000 lines are lost: they came faster than they were written",
                lines().getLast());
    }

    @Test
    void traceEndsAtItsLimit() {
        try (Trace trace = Trace.start(PIO, output, 16, 0)) {
            trace.add(TraceKind.PIO, () -> "first");
        }

        assertEquals(List.of("... the trace ends here, at 0 bytes"), lines());
    }

    @Test
    void addingAfterTheEndIsHarmless() {
        Trace trace = Trace.start(PIO, output, 1, NO_LIMIT);
        trace.close();

        IntStream.range(0, 10).forEach(_ -> trace.add(TraceKind.PIO, () -> "late"));
        trace.close();

        assertEquals(List.of(), lines());
    }

    @Test
    void failingOutputIsGivenUp() {
        var failing =
                new OutputStream() {
                    @Override
                    public void write(int b) throws IOException {
                        throw new IOException("disk full");
                    }
                };
        try (Trace trace = Trace.start(PIO, failing, 1, NO_LIMIT)) {
            IntStream.range(0, 10_000).forEach(_ -> trace.add(TraceKind.PIO, () -> "x"));
        }
        // it closes, and nothing is thrown
        assertEquals(List.of(), lines());
    }
}
