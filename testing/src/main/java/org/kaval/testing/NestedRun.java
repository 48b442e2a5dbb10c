package org.kaval.testing;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.platform.engine.ConfigurationParameters;
import org.junit.platform.engine.ExecutionRequest;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.TestSource;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.kaval.testing.TestWorker.Event;

/// Runs test classes in a nested host, whatever befalls it: when its worker ends, or the whole
/// nested host, the test that was running has failed with the reason, and the others run in a new
/// one. For one thread.
final class NestedRun {
    /// How long a worker may tell nothing. JUnit's own time limits are shorter; this one is for a
    /// JVM that does not come to apply them.
    private static final String SILENCE = "kaval.nested-host.silence";

    private static final String DEFAULT_SILENCE = Effort.isFull() ? "PT2H" : "PT15M";

    private final ExecutionRequest request;
    private final Map<String, String> parameters;
    private final Duration silence;
    private final Workers workers;
    private @Nullable TestWorker worker;
    private @Nullable String hopeless; // why no nested host can be had

    /// @param workers where they come from
    NestedRun(ExecutionRequest request, Workers workers) {
        this.request = request;
        this.workers = workers;
        ConfigurationParameters all = request.getConfigurationParameters();
        var map = new LinkedHashMap<String, String>();
        for (String name : all.keySet()) {
            all.get(name).ifPresent(value -> map.put(name, value));
        }
        // those of the system are not among the names
        all.get(Workers.Order.CONSOLE).ifPresent(value -> map.put(Workers.Order.CONSOLE, value));
        this.parameters = map;
        this.silence = Duration.parse(all.get(SILENCE).orElse(DEFAULT_SILENCE));
    }

    /// Runs all tests of these classes, one class after the other.
    void run(List<TestDescriptor> testClasses) {
        var waiting = new ArrayDeque<Replay>();
        for (TestDescriptor testClass : testClasses) {
            waiting.add(new Replay(testClass, request.getEngineExecutionListener()));
        }
        while (!waiting.isEmpty()) {
            Replay replay = waiting.remove();
            run(replay, waiting.stream().map(Replay::remaining).toList());
        }
    }

    private void run(Replay replay, List<List<String>> following) {
        while (!replay.remaining().isEmpty() && hopeless == null) {
            int before = replay.results();
            String end = attempt(replay, following);
            replay.failRunning(end);
            if (!replay.remaining().isEmpty() && replay.results() == before) {
                replay.failFirst(end); // each attempt is for one less
            }
        }
        replay.finish(hopeless);
    }

    /// @return why some may have no result
    private String attempt(Replay replay, List<List<String>> following) {
        try {
            TestWorker current = worker();
            current.run(replay.remaining(), following);
            while (true) {
                Event event = current.next(silence);
                switch (event) {
                    case null -> {
                        current.dumpThreadsAndKill();
                        replay.note("nothing has happened for " + silence.toSeconds() + " s");
                    }
                    case Event.Message(var frame) -> {
                        if (replay.accept(frame)) {
                            return "the worker in the nested host has not found it";
                        }
                    }
                    case Event.Ended(String reason) -> {
                        worker = null;
                        return reason;
                    }
                }
            }
        } catch (Workers.UnobtainableException e) {
            hopeless = String.valueOf(e.getMessage());
            return hopeless;
        } catch (IOException e) {
            worker = null;
            return String.valueOf(e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            hopeless = "interrupted";
            return hopeless;
        }
    }

    private TestWorker worker() throws IOException, InterruptedException {
        TestWorker current = worker;
        if (current == null || !current.isAlive()) {
            List<Class<?>> owners = ownersOfFiles(request.getRootTestDescriptor());
            if (owners.isEmpty()) {
                current = workers.get(new Workers.Order(parameters, List.of()));
            } else {
                // other JVMs may be about to make them anew
                try (FileChannel _ = FilesExtension.lock()) {
                    current = workers.get(new Workers.Order(parameters, files(owners)));
                }
            }
            worker = current;
        }
        return current;
    }

    /// The classes that need something beside their class path.
    private static List<Class<?>> ownersOfFiles(TestDescriptor root) {
        var owners = new LinkedHashSet<Class<?>>();
        for (TestDescriptor test : root.getDescendants()) {
            Class<?> owner = classOf(test.getSource().orElse(null));
            if (owner != null && owner.isAnnotationPresent(NeedsFiles.class)) {
                owners.add(owner);
            }
        }
        return List.copyOf(owners);
    }

    private static List<Path> files(List<Class<?>> owners) throws IOException {
        Path folder = FilesExtension.module();
        var files = new LinkedHashSet<Path>();
        for (Class<?> owner : owners) {
            make(owner);
            for (String file : owner.getAnnotation(NeedsFiles.class).value()) {
                files.add(folder.resolve(file).toAbsolutePath().normalize());
            }
        }
        return List.copyOf(files);
    }

    private static void make(Class<?> owner) throws IOException {
        try {
            FilesExtension.make(owner);
        } catch (IOException e) {
            throw e;
        } catch (Exception e) {
            throw new IOException("files for " + owner.getName() + ": " + e.getMessage(), e);
        }
    }

    private static @Nullable Class<?> classOf(@Nullable TestSource source) {
        return switch (source) {
            case ClassSource aClass -> aClass.getJavaClass();
            case MethodSource method -> method.getJavaClass();
            case null, default -> null;
        };
    }
}
