package org.kaval.machine.trace;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Supplier;

/// Takes down what happens, a line each, from any thread, without making it wait.
///
/// The lines wait in a queue of bounded size for a thread that writes them; what finds it full is
/// lost, and how much that was is written instead. A guest decides how many lines there are, so
/// that their sum is bounded, too.
public final class Trace implements AutoCloseable {
    /// A trace of nothing.
    public static final Trace OFF = new Trace(Set.of(), OutputStream.nullOutputStream(), 1, 0);

    /// Some MiB, which is a tenth of a second of a guest that does nothing else.
    private static final int CAPACITY = 1 << 14;

    private static final long MAX_BYTES = 256L << 20;
    private static final int BATCH = 1024;
    private static final Duration DRAIN_LIMIT = Duration.ofSeconds(10);
    private static final double NANOS_PER_SECOND = 1e9;
    private static final Logger LOG = System.getLogger(Trace.class.getName());
    private static final Entry END = new Entry(0, "", TraceKind.EXITS, () -> "");

    private final Set<TraceKind> kinds;
    private final OutputStream sink;
    private final long limit;
    private final BlockingQueue<Entry> queue;
    private final LongAdder lost = new LongAdder();
    private final long begin = System.nanoTime();
    private final Thread writer;
    private volatile boolean discarding;
    private long written; // the writer's own

    private record Entry(long nanos, String thread, TraceKind kind, Supplier<String> text) {
        String line() {
            return "%12.6f %-12s %-6s %s%n"
                    .formatted(nanos / NANOS_PER_SECOND, thread, kind, text.get());
        }
    }

    private Trace(Set<TraceKind> kinds, OutputStream sink, int capacity, long limit) {
        this.kinds = kinds.isEmpty() ? Set.of() : EnumSet.copyOf(kinds);
        this.sink = sink;
        this.limit = limit;
        this.queue = new ArrayBlockingQueue<>(capacity);
        this.writer = Thread.ofPlatform().name("trace").daemon().unstarted(this::write);
    }

    /// Starts a trace.
    ///
    /// @param sink is written and flushed by one thread, and stays the caller's
    public static Trace start(Set<TraceKind> kinds, OutputStream sink) {
        return start(kinds, sink, CAPACITY, MAX_BYTES);
    }

    static Trace start(Set<TraceKind> kinds, OutputStream sink, int capacity, long limit) {
        var trace = new Trace(kinds, sink, capacity, limit);
        trace.writer.start();
        return trace;
    }

    /// Whether anything is traced.
    public boolean isOn() {
        return !kinds.isEmpty();
    }

    /// Whether things of this kind are.
    public boolean isOn(TraceKind kind) {
        return kinds.contains(kind);
    }

    /// Takes down that something has happened just now, on this thread.
    ///
    /// @param text makes the rest of the line, later and on another thread
    public void add(TraceKind kind, Supplier<String> text) {
        if (discarding) {
            return;
        }
        String thread = Thread.currentThread().getName();
        if (!queue.offer(new Entry(System.nanoTime() - begin, thread, kind, text))) {
            lost.increment();
        }
    }

    /// Writes what is left, for 10 s at most, and ends the thread.
    @Override
    public void close() {
        if (!writer.isAlive()) {
            return;
        }
        try {
            if (!queue.offer(END, DRAIN_LIMIT.toSeconds(), TimeUnit.SECONDS)
                    || !writer.join(DRAIN_LIMIT)) {
                LOG.log(Level.WARNING, "trace: the reader of the output does not read");
                writer.interrupt();
            }
        } catch (InterruptedException e) {
            writer.interrupt();
            Thread.currentThread().interrupt();
        }
    }

    private void write() {
        var batch = new ArrayList<Entry>(BATCH);
        try {
            boolean more = true;
            while (more) {
                batch.clear();
                batch.add(queue.take());
                queue.drainTo(batch, BATCH - 1);
                more = write(batch);
            }
        } catch (IOException e) {
            LOG.log(Level.WARNING, "trace: output is discarded: {0}", e.getMessage());
        } catch (InterruptedException e) {
            LOG.log(Level.DEBUG, "trace: given up");
        } finally {
            discarding = true;
            queue.clear(); // so that there is room for an end that nobody waits for
        }
    }

    /// @return whether there will be more
    private boolean write(Iterable<Entry> batch) throws IOException {
        var text = new StringBuilder();
        boolean ended = false;
        for (Entry entry : batch) {
            if (entry.equals(END)) {
                ended = true;
            } else {
                text.append(entry.line());
            }
        }
        long missing = lost.sumThenReset();
        if (missing > 0) {
            text.append(
                    "... %,d lines are lost: they came faster than they were written%n"
                            .formatted(missing));
        }
        byte[] bytes = text.toString().getBytes(UTF_8);
        written += bytes.length;
        if (written > limit) {
            bytes =
                    "... the trace ends here, at %,d bytes%n"
                            .formatted(written - bytes.length)
                            .getBytes(UTF_8);
            ended = true;
        }
        sink.write(bytes);
        sink.flush();
        return !ended;
    }
}
