package org.kaval.testing;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.kaval.nested.NestedHost;
import org.kaval.nested.NestedProcess;
import org.kaval.nested.guest.Frames;
import org.kaval.testing.worker.WorkerMessage;

/// A JVM in QEMU's nested host that runs tests. For one thread.
final class NestedWorker implements TestWorker {
    /// For all tests that it runs: with full effort one of them takes more than an hour.
    private static final Duration LIMIT = Duration.ofHours(Effort.isFull() ? 3 : 1);

    private static final Duration DUMP_LIMIT = Duration.ofSeconds(20);

    private final NestedHost host;
    private final NestedProcess process;
    private final WorkerEvents events = new WorkerEvents();
    private final ByteArrayOutputStream errors = new ByteArrayOutputStream(); // guarded by itself
    private volatile boolean ended;

    private NestedWorker(NestedHost host) throws IOException {
        this.host = host;
        this.process = host.exec(command(), events.frames(), new Errors());
        var _ =
                process.status()
                        .whenComplete((status, failure) -> {
                            ended = true;
                            events.add(new Event.Ended(end(status, failure)));
                        });
    }

    /// One nested host, which ends with its worker: restored anew it has a warm one, and a new one
    /// in the same would be cold.
    static final class Source implements Workers {
        private final Set<Path> copied = new HashSet<>();
        private @Nullable NestedHost host;
        private @Nullable NestedWorker worker;
        private Map<String, String> parameters = Map.of();

        @Override
        public TestWorker get(Order order) throws IOException, InterruptedException {
            NestedWorker current = worker;
            if (current == null || !current.isAlive() || !parameters.equals(order.parameters())) {
                current = start(order);
            }
            var missing = new ArrayList<>(order.files());
            missing.removeAll(copied);
            current.host.copyIn(missing);
            copied.addAll(missing);
            return current;
        }

        private NestedWorker start(Order order) throws IOException, InterruptedException {
            close();
            copied.clear();
            NestedHost booted = boot(order);
            host = booted;
            booted.copyIn(WorkerSetup.testClassPath().stream().map(Path::of).toList());
            var started = new NestedWorker(booted);
            for (byte[] request : WorkerSetup.requests(order.parameters())) {
                started.send(request);
            }
            worker = started;
            parameters = order.parameters();
            return started;
        }

        private static NestedHost boot(Order order) throws IOException, InterruptedException {
            try {
                return NestedHost.start(
                        new NestedHost.Settings()
                                .withTimeLimit(LIMIT)
                                .withFiles(WorkerSetup.files())
                                .withPrestarted(command())
                                .withConsole(order.openConsole()));
            } catch (IOException e) {
                throw new UnobtainableException(e);
            }
        }

        @Override
        public void close() {
            worker = null;
            NestedHost current = host;
            if (current != null) {
                current.close();
            }
        }
    }

    private static List<String> command() {
        return WorkerSetup.command(System.getProperty("java.home") + "/bin/java");
    }

    @Override
    public void run(List<String> uniqueIds, List<List<String>> following) throws IOException {
        send(WorkerSetup.request(WorkerMessage.RUN, uniqueIds));
    }

    @Override
    public @Nullable Event next(Duration silence) throws InterruptedException {
        return events.next(silence);
    }

    @Override
    public boolean isAlive() {
        return !ended && host.isAlive();
    }

    @Override
    public void dumpThreadsAndKill() throws IOException {
        var ignored = OutputStream.nullOutputStream();
        host.exec(List.of("kill", "-QUIT", Long.toString(process.pid())), ignored, ignored)
                .await(DUMP_LIMIT);
        // the dump is complete when nothing more of it has come for a second
        host.exec(List.of("sleep", "2"), ignored, ignored).await(DUMP_LIMIT);
        process.kill();
    }

    private void send(byte[] request) throws IOException {
        OutputStream input = process.input(); // stays open
        input.write(request);
    }

    private String end(@Nullable Integer status, @Nullable Throwable failure) {
        if (failure != null) {
            return String.valueOf(failure.getMessage());
        }
        synchronized (errors) {
            return WorkerEvents.end(
                    status == null ? -1 : status, errors.toString(StandardCharsets.UTF_8));
        }
    }

    /// What the worker prints by other ways than {@link System}: JVM messages, other processes.
    private final class Errors extends OutputStream {
        private static final int KEPT = 256 << 10;

        @Override
        public void write(int b) {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) {
            byte[] copy = java.util.Arrays.copyOfRange(bytes, offset, offset + length);
            events.add(new Event.Message(new Frames.Frame(WorkerMessage.ERR, 0, copy)));
            synchronized (errors) {
                if (errors.size() > KEPT) {
                    errors.reset();
                }
                errors.writeBytes(copy);
            }
        }
    }
}
