package org.kaval.testing;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.kaval.nested.BochsHost;
import org.kaval.testing.worker.WorkerMessage;

/// A JVM in Bochs that runs tests. There is no way in but what it boots with: so it boots when it
/// knows the first tests, and has all the others with them. For one thread.
final class BochsWorker implements TestWorker {
    private static final String JAVA = BochsHost.JAVA_HOME + "/bin/java";

    /// Of this machine's time, which may have much else to do: far more than all tests take.
    private static final Duration LIMIT = Duration.ofMinutes(45);

    private final Workers.Order order;
    private final Deque<List<String>> following = new ArrayDeque<>(); // what it has, and not begun
    private @Nullable BochsHost host;
    private WorkerEvents events = new WorkerEvents();

    private BochsWorker(Workers.Order order) {
        this.order = order;
    }

    /// Each worker has a Bochs of its own, which has ended when its tests have.
    static final class Source implements Workers {
        private @Nullable BochsWorker last;

        @Override
        public TestWorker get(Order order) {
            close();
            var worker = new BochsWorker(order);
            last = worker;
            return worker;
        }

        @Override
        public void close() {
            BochsWorker worker = last;
            if (worker != null) {
                worker.close();
            }
        }
    }

    @Override
    public void run(List<String> uniqueIds, List<List<String>> next)
            throws IOException, InterruptedException {
        if (!uniqueIds.equals(following.poll())) {
            boot(uniqueIds, next);
        }
    }

    @Override
    public @Nullable Event next(Duration silence) throws InterruptedException {
        return events.next(silence);
    }

    @Override
    public boolean isAlive() {
        return true; // another Bochs is booted if need be
    }

    /// Nothing can be told to the JVM: there is no dump.
    @Override
    public void dumpThreadsAndKill() {
        close();
    }

    private void boot(List<String> uniqueIds, List<List<String>> next)
            throws IOException, InterruptedException {
        close();
        following.clear();
        following.addAll(next);
        var requests = new ByteArrayOutputStream();
        WorkerSetup.requests(order.parameters()).forEach(requests::writeBytes);
        requests.writeBytes(WorkerSetup.request(WorkerMessage.RUN, uniqueIds));
        for (List<String> ids : next) {
            requests.writeBytes(WorkerSetup.request(WorkerMessage.RUN, ids));
        }
        String script =
                WorkerSetup.command(JAVA).stream()
                        .map(word -> "'" + word.replace("'", "'\\''") + "'")
                        .collect(Collectors.joining(" "));
        BochsHost started;
        try {
            started = BochsHost.start(settings(), script, requests.toByteArray());
        } catch (IOException e) {
            throw new Workers.UnobtainableException(e);
        }
        host = started;
        var sink = new WorkerEvents();
        events = sink;
        Thread.ofPlatform().daemon().name("bochs-output").start(() -> pass(started, sink));
    }

    private BochsHost.Settings settings() throws IOException {
        var files = new LinkedHashMap<String, Path>(WorkerSetup.files());
        for (String entry : WorkerSetup.testClassPath()) {
            files.put(entry, Path.of(entry));
        }
        for (Path file : order.files()) {
            files.put(file.toString(), file);
        }
        return new BochsHost.Settings()
                .withJava()
                .withFiles(files)
                .withTimeLimit(LIMIT)
                .withConsole(order.openConsole());
    }

    private static void pass(BochsHost host, WorkerEvents events) {
        String reason;
        try (OutputStream frames = events.frames()) {
            host.output().transferTo(frames);
            reason = WorkerEvents.end(host.await(), host.console());
        } catch (IOException e) {
            host.close(); // if what came was no frame, it goes on
            reason = String.valueOf(e.getMessage());
        } catch (InterruptedException e) {
            reason = "interrupted";
        }
        events.add(new Event.Ended(reason));
    }

    private void close() {
        BochsHost current = host;
        if (current != null) {
            current.close();
        }
    }
}
