package org.kaval.nested;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The command in a process of its own: what it gives to the shell, and that nothing is left of its
/// nested host, however it ends.
class NestedHostCommandTest {
    private static final long LIMIT_SECONDS = 120;

    @TempDir Path directory;

    private record Result(int status, String out, String err) {}

    private Process start(String path, String... arguments) throws IOException {
        var command =
                new ArrayList<String>(
                        List.of(
                                System.getProperty("java.home") + "/bin/java",
                                "-XX:TieredStopAtLevel=1",
                                "-Djava.io.tmpdir=" + directory,
                                "-cp",
                                System.getProperty("java.class.path"),
                                NestedHostCommand.class.getName()));
        command.addAll(List.of(arguments));
        var builder =
                new ProcessBuilder(command)
                        .redirectOutput(directory.resolve("out").toFile())
                        .redirectError(directory.resolve("err").toFile());
        builder.environment().put("PATH", path);
        return builder.start();
    }

    private Result run(String input, String path, String... arguments) throws Exception {
        Process process = start(path, arguments);
        try (OutputStream in = process.getOutputStream()) {
            in.write(input.getBytes(StandardCharsets.UTF_8));
        }
        assertTrue(process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS));
        return new Result(process.exitValue(), read("out"), read("err"));
    }

    private String read(String file) throws IOException {
        return Files.readString(directory.resolve(file));
    }

    @Test
    void commandHasItsInputOutputAndStatus() throws Exception {
        assertEquals(
                new Result(5, "hello\n", "oh\n"),
                run(
                        "hello\n",
                        System.getenv("PATH"),
                        "--",
                        "sh",
                        "-c",
                        "head -n 1; echo oh >&2; exit 5"));
    }

    @Test
    void missingQemuIsNamedWithItsPackage() throws Exception {
        assertEquals(
                new Result(
                        3,
                        "",
                        "kaval: qemu-system-x86_64 is missing: apt-get install qemu-system-x86\n"),
                run("", directory.toString(), "--", "true"));
    }

    @Test
    void wrongOptionsAreUsage() throws Exception {
        Result result = run("", System.getenv("PATH"), "--cpus", "99", "--", "true");
        assertEquals(2, result.status());
        assertEquals("kaval: cpus: 99; see './kaval nested-host --help'\n", result.err());
    }

    @ParameterizedTest
    @ValueSource(strings = {"INT", "TERM", "KILL"})
    void signalLeavesNothing(String signal) throws Exception {
        Process process =
                start(System.getenv("PATH"), "--", "sh", "-c", "echo up; exec sleep 1000");
        List<ProcessHandle> children = List.of();
        try {
            until(() -> read("out").equals("up\n"));
            children = process.descendants().toList();
            assertEquals(1, children.size());
            new ProcessBuilder("kill", "-" + signal, Long.toString(process.pid()))
                    .start()
                    .waitFor();
            assertTrue(process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS));
        } finally {
            process.destroyForcibly();
        }
        ProcessHandle qemu = children.getFirst();
        until(() -> !qemu.isAlive());
        try (Stream<Path> left = Files.list(directory)) {
            assertEquals(
                    List.of(),
                    left.filter(file -> file.getFileName().toString().startsWith("kaval-nested-"))
                            .toList());
        }
    }

    private interface Condition {
        boolean holds() throws IOException;
    }

    private static void until(Condition condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_SECONDS);
        while (!condition.holds()) {
            assertTrue(System.nanoTime() < end);
            Thread.sleep(10);
        }
    }
}
