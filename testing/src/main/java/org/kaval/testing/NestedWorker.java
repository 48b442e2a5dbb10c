package org.kaval.testing;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.kaval.nested.NestedHost;
import org.kaval.nested.NestedProcess;
import org.kaval.nested.guest.Frames;
import org.kaval.testing.worker.Worker;
import org.kaval.testing.worker.WorkerMessage;

/// A JVM in a nested host that runs tests. For one thread.
final class NestedWorker {
    /// What the worker itself needs, its JUnit among it: it is in the nested host's saved state.
    private static final List<String> WORKER_CLASSES =
            List.of(
                    "org.kaval.testing.worker.Worker",
                    "org.kaval.nested.guest.Frames",
                    "org.junit.jupiter.engine.JupiterTestEngine",
                    "org.junit.jupiter.api.Test",
                    "org.junit.jupiter.params.ParameterizedTest",
                    "org.junit.platform.launcher.Launcher",
                    "org.junit.platform.engine.TestEngine",
                    "org.junit.platform.commons.JUnitException",
                    "org.opentest4j.AssertionFailedError",
                    "org.jspecify.annotations.NullMarked");

    private static final String HERE = "kaval.test.is-nested";
    private static final String FOLDER = "/kaval/worker/";
    private static final Duration DUMP_LIMIT = Duration.ofSeconds(20);
    private static final Duration START_LIMIT = Duration.ofMinutes(2);
    private static final int KEPT_LINES = 20;
    private static final int OUT_OF_MEMORY = 3; // what -XX:+ExitOnOutOfMemoryError ends with

    private final NestedHost host;
    private final NestedProcess process;
    private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private final ByteArrayOutputStream errors = new ByteArrayOutputStream(); // guarded by itself
    private boolean hasSpoken;

    /// What comes from the worker.
    sealed interface Event {
        /// The worker tells something.
        record Message(Frames.Frame frame) implements Event {}

        /// It has ended, and why.
        record Ended(String reason) implements Event {}
    }

    private NestedWorker(NestedHost host, List<String> command) throws IOException {
        this.host = host;
        this.process = host.exec(command, new Assembler(), new Errors());
        var _ =
                process.status()
                        .whenComplete((status, failure) ->
                                events.add(new Event.Ended(end(status, failure))));
    }

    /// Whether this JVM is such a worker.
    static boolean isHere() {
        return Boolean.getBoolean(HERE);
    }

    /// What a nested host is to have for a worker.
    static NestedHost.Settings settings(NestedHost.Settings settings) {
        var files = new LinkedHashMap<String, Path>();
        int index = 0;
        for (Path source : workerClassPath()) {
            files.put(FOLDER + index++, source);
        }
        return settings.withFiles(files).withPrestarted(command());
    }

    /// Starts one, with the class path and the system properties of this JVM.
    static NestedWorker start(NestedHost host, Map<String, String> parameters) throws IOException {
        List<String> classPath = testClassPath();
        host.copyIn(classPath.stream().map(Path::of).toList());
        var worker = new NestedWorker(host, command());
        worker.send(WorkerMessage.CLASS_PATH, classPath);
        worker.send(WorkerMessage.PROPERTIES, properties(classPath));
        worker.send(WorkerMessage.PARAMETERS, flatten(parameters));
        return worker;
    }

    /// Starts tests; {@link #next} then tells how they go.
    void run(List<String> uniqueIds) throws IOException {
        send(WorkerMessage.RUN, uniqueIds);
    }

    /// @param silence is not counted while the worker is starting
    /// @return null if nothing has come for so long
    @Nullable Event next(Duration silence) throws InterruptedException {
        Duration limit = hasSpoken || silence.compareTo(START_LIMIT) > 0 ? silence : START_LIMIT;
        Event event = events.poll(limit.toNanos(), TimeUnit.NANOSECONDS);
        hasSpoken |= event != null;
        return event;
    }

    /// Has the JVM print its threads, and kills it: the events end with what it has printed.
    void dumpThreadsAndKill() throws IOException {
        var ignored = OutputStream.nullOutputStream();
        host.exec(List.of("kill", "-QUIT", Long.toString(process.pid())), ignored, ignored)
                .await(DUMP_LIMIT);
        // the dump is complete when nothing more of it has come for a second
        host.exec(List.of("sleep", "2"), ignored, ignored).await(DUMP_LIMIT);
        process.kill();
    }

    private void send(int type, List<String> strings) throws IOException {
        var frame = new ByteArrayOutputStream();
        new Frames(new ByteArrayInputStream(new byte[0]), frame)
                .send(type, 0, WorkerMessage.encode(strings));
        OutputStream input = process.input(); // stays open
        input.write(frame.toByteArray());
    }

    private String end(@Nullable Integer status, @Nullable Throwable failure) {
        if (failure != null) {
            return String.valueOf(failure.getMessage());
        }
        String what =
                status != null && status == OUT_OF_MEMORY
                        ? "the JVM in the nested host ran out of memory"
                        : "the JVM in the nested host ended with status " + status;
        synchronized (errors) {
            List<String> lines = errors.toString(StandardCharsets.UTF_8).lines().toList();
            // HotSpot tells what has happened in lines that begin so, and then much more
            List<String> crash = lines.stream().filter(line -> line.startsWith("# ")).toList();
            List<String> last = lines.subList(Math.max(0, lines.size() - KEPT_LINES), lines.size());
            return String.join("\n", what, String.join("\n", crash.isEmpty() ? last : crash))
                    .strip();
        }
    }

    private static List<String> command() {
        var classPath = new ArrayList<String>();
        for (int i = 0; i < workerClassPath().size(); i++) {
            classPath.add(FOLDER + i);
        }
        return List.of(
                "sh",
                "-c",
                "exec \"$@\" 3>&1 1>&2", // the events' stream is not to be printed to
                "sh",
                System.getProperty("java.home") + "/bin/java",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-XX:-UsePerfData",
                "-XX:+ExitOnOutOfMemoryError",
                "-XX:+ErrorFileToStderr",
                "-Xmx512m",
                "-ea",
                "--enable-native-access=ALL-UNNAMED",
                "--illegal-native-access=deny",
                "-cp",
                String.join(":", classPath),
                Worker.class.getName());
    }

    /// Files and folders.
    private static Set<Path> workerClassPath() {
        var sources = new LinkedHashSet<Path>();
        for (String name : WORKER_CLASSES) {
            try {
                CodeSource source = Class.forName(name).getProtectionDomain().getCodeSource();
                sources.add(Path.of(source.getLocation().toURI()));
            } catch (ReflectiveOperationException | java.net.URISyntaxException e) {
                throw new IllegalStateException("not on the class path: " + name, e);
            }
        }
        return sources;
    }

    /// What the tests have beyond that. Surefire's own jar only refers to it.
    private static List<String> testClassPath() {
        String path =
                System.getProperty(
                        "surefire.test.class.path", System.getProperty("java.class.path"));
        Set<Path> known = workerClassPath();
        return List.of(path.split(":", -1)).stream()
                .filter(entry -> !entry.isEmpty())
                .map(entry -> Path.of(entry).toAbsolutePath().normalize())
                .filter(entry -> Files.exists(entry) && !known.contains(entry))
                .map(Path::toString)
                .toList();
    }

    private static List<String> properties(Collection<String> classPath) {
        var properties = new LinkedHashMap<String, String>();
        Properties own = System.getProperties();
        for (String name : own.stringPropertyNames()) {
            if (name.startsWith("kaval.")) {
                properties.put(name, own.getProperty(name));
            }
        }
        properties.put(HERE, "true");
        properties.put("basedir", System.getProperty("basedir", System.getProperty("user.dir")));
        properties.put("java.class.path", String.join(":", classPath));
        return flatten(properties);
    }

    private static List<String> flatten(Map<String, String> pairs) {
        var strings = new ArrayList<String>();
        pairs.forEach((name, value) -> {
            strings.add(name);
            strings.add(value);
        });
        return strings;
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
