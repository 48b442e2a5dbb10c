package org.kaval.testing;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.kaval.nested.guest.Frames;
import org.kaval.testing.worker.Worker;
import org.kaval.testing.worker.WorkerMessage;

/// What a worker is started with: its command line, its files, and its first requests, all from
/// this JVM's.
final class WorkerSetup {
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

    private static final String FOLDER = "/kaval/worker/";

    private static final String IS_NESTED = "kaval.test.is-nested";

    private WorkerSetup() {}

    /// Whether this JVM is a worker.
    static boolean isWorker() {
        return Boolean.getBoolean(IS_NESTED);
    }

    /// The files of {@link #command}: paths there to files and folders here.
    static Map<String, Path> files() {
        var files = new LinkedHashMap<String, Path>();
        int index = 0;
        for (Path source : workerClassPath()) {
            files.put(FOLDER + index++, source);
        }
        return files;
    }

    /// The worker's command line. The events' stream is not to be printed to: it is the standard
    /// output of this command and descriptor 3 of the worker.
    ///
    /// @param java the program
    static List<String> command(String java) {
        var classPath = new ArrayList<String>();
        for (int i = 0; i < workerClassPath().size(); i++) {
            classPath.add(FOLDER + i);
        }
        return List.of(
                "sh",
                "-c",
                "exec \"$@\" 3>&1 1>&2",
                "sh",
                java,
                "-XX:TieredStopAtLevel=1",
                "-XX:CompileThresholdScaling=5", // to compile is slow where code is emulated
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

    /// The requests that tell a worker what it is to be like: class path, system properties and
    /// JUnit's parameters.
    static List<byte[]> requests(Map<String, String> parameters) {
        List<String> classPath = testClassPath();
        return List.of(
                request(WorkerMessage.CLASS_PATH, classPath),
                request(WorkerMessage.PROPERTIES, properties(classPath)),
                request(WorkerMessage.PARAMETERS, flatten(parameters)));
    }

    /// One request to a worker.
    static byte[] request(int type, List<String> strings) {
        var frame = new ByteArrayOutputStream();
        try {
            new Frames(new ByteArrayInputStream(new byte[0]), frame)
                    .send(type, 0, WorkerMessage.encode(strings));
        } catch (IOException impossible) {
            throw new AssertionError("an array takes everything", impossible);
        }
        return frame.toByteArray();
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
    static List<String> testClassPath() {
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
        properties.put(IS_NESTED, "true");
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
}
