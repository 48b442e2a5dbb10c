package org.kaval.testing;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.kaval.nested.guest.Frames;
import org.kaval.testing.TestWorker.Event;
import org.kaval.testing.worker.Worker;

/// What has come from a worker and has not been taken yet. Events are added by any thread, and
/// taken by one.
final class WorkerEvents {
    private static final Duration START_LIMIT = Duration.ofMinutes(2);

    private static final int KEPT_LINES = 20;
    private static final int OUT_OF_MEMORY = 3; // what -XX:+ExitOnOutOfMemoryError ends with

    private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private boolean hasSpoken;

    void add(Event event) {
        events.add(event);
    }

    /// As {@link TestWorker#next}.
    @Nullable Event next(Duration silence) throws InterruptedException {
        Duration limit = hasSpoken || silence.compareTo(START_LIMIT) > 0 ? silence : START_LIMIT;
        Event event = events.poll(limit.toNanos(), TimeUnit.NANOSECONDS);
        hasSpoken |= event != null;
        return event;
    }

    /// Takes the stream of the worker's frames.
    OutputStream frames() {
        return new Assembler();
    }

    /// Says how a worker has ended.
    ///
    /// @param status of its JVM
    /// @param printed by that JVM itself
    static String end(int status, String printed) {
        String what =
                status == OUT_OF_MEMORY
                        ? "the JVM in the nested host ran out of memory"
                        : "the JVM in the nested host ended with status " + status;
        List<String> lines = printed.lines().toList();
        // HotSpot tells what has happened in lines that begin so, and then much more
        List<String> crash = lines.stream().filter(line -> line.startsWith("# ")).toList();
        List<String> last = lines.subList(Math.max(0, lines.size() - KEPT_LINES), lines.size());
        return String.join("\n", what, String.join("\n", crash.isEmpty() ? last : crash)).strip();
    }

    /// Makes frames of the worker's bytes, however they are cut.
    private final class Assembler extends OutputStream {
        private static final int HEADER = 9;
        private static final int LENGTH_AT = 5;

        private final ByteArrayOutputStream pending = new ByteArrayOutputStream();

        @Override
        public void write(int b) throws IOException {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            pending.write(bytes, offset, length);
            byte[] all = pending.toByteArray();
            // the agent has taken it away if the worker was started beforehand
            int start = all.length > 0 && all[0] == Worker.READY ? 1 : 0;
            for (int end = end(all, start); end >= 0; end = end(all, start)) {
                var in = new ByteArrayInputStream(all, start, end - start);
                Frames.Frame frame = new Frames(in, OutputStream.nullOutputStream()).receive();
                events.add(new Event.Message(frame));
                start = end;
            }
            pending.reset();
            pending.write(all, start, all.length - start);
        }

        /// Where the frame at `start` ends, or -1 if not all of it is there.
        private static int end(byte[] bytes, int start) {
            if (bytes.length - start < HEADER) {
                return -1;
            }
            int length = java.nio.ByteBuffer.wrap(bytes).getInt(start + LENGTH_AT);
            long end = (long) start + HEADER + Math.clamp(length, 0, Frames.MAX_PAYLOAD);
            return end <= bytes.length ? (int) end : -1;
        }
    }
}
