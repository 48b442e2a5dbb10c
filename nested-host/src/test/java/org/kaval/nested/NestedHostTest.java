package org.kaval.nested;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// One nested host for all tests, and others for those that end it.
class NestedHostTest {
    private static final Duration LIMIT = Duration.ofMinutes(1);
    private static final NestedHost.Settings SETTINGS = new NestedHost.Settings();

    private static NestedHost host;

    @TempDir Path directory;

    @BeforeAll
    static void start() throws Exception {
        host = NestedHost.start(SETTINGS);
    }

    @AfterAll
    static void close() {
        host.close();
    }

    /// What a command has printed, and its status.
    private record Result(int status, String out, String err) {}

    private static Result run(NestedHost on, String... command) throws Exception {
        var out = new ByteArrayOutputStream();
        var err = new ByteArrayOutputStream();
        int status = on.exec(List.of(command), out, err).await(LIMIT);
        return new Result(
                status, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    private static void assertContains(String part, Throwable failure) {
        String message = String.valueOf(failure.getMessage());
        assertTrue(message.contains(part), message);
    }

    @Test
    void hasAmdV() throws Exception {
        Result modules = run(host, "sh", "-c", "ls -d /sys/module/kvm_amd; test -w /dev/kvm");
        assertEquals(new Result(0, "/sys/module/kvm_amd\n", ""), modules);
        assertTrue(run(host, "cat", "/proc/cpuinfo").out().contains(" svm "));
    }

    @Test
    void outputAndStatusOfACommandComeBack() throws Exception {
        assertEquals(
                new Result(7, "good\n", "bad\n"),
                run(host, "sh", "-c", "echo good; echo bad >&2; exit 7"));
    }

    @Test
    void statusOfASignalIsTheShells() throws Exception {
        assertEquals(128 + 9, run(host, "sh", "-c", "kill -KILL $$").status());
    }

    @Test
    void environmentAndDirectoryAreTheProcesss() throws Exception {
        var out = new ByteArrayOutputStream();
        NestedProcess process =
                host.exec(
                        List.of("sh", "-c", "echo $GREETING from $PWD"),
                        Map.of("GREETING", "hello"),
                        "/tmp",
                        out,
                        OutputStream.nullOutputStream());
        assertEquals(0, process.await(LIMIT));
        assertEquals("hello from /tmp\n", out.toString(StandardCharsets.UTF_8));
    }

    @Test
    void unknownCommandIsNamed() {
        var failure = assertThrows(NestedHostException.class, () -> run(host, "no-such-command"));
        assertContains("no-such-command", failure);
    }

    @Test
    void javaRuns() throws Exception {
        Result result = run(host, System.getProperty("java.home") + "/bin/java", "--version");
        assertEquals(0, result.status(), result.err());
        assertTrue(result.out().contains("25"), result.out());
    }

    @Test
    void inputGoesToTheProcessUntilItIsClosed() throws Exception {
        byte[] bytes = new byte[3 << 20];
        new Random(1).nextBytes(bytes);
        var out = new ByteArrayOutputStream();
        NestedProcess process = host.exec(List.of("cat"), out, OutputStream.nullOutputStream());
        try (OutputStream input = process.input()) {
            input.write(bytes);
        }
        assertEquals(0, process.await(LIMIT));
        assertEquals(-1, java.util.Arrays.mismatch(bytes, out.toByteArray()));
    }

    @Test
    void inputThatNobodyReadsHoldsUpNobody() throws Exception {
        var none = OutputStream.nullOutputStream();
        NestedProcess deaf = host.exec(List.of("true"), none, none);
        try (OutputStream input = deaf.input()) {
            input.write(new byte[8 << 20]);
        }
        assertEquals(0, deaf.await(LIMIT));
        assertEquals(0, run(host, "true").status());
    }

    @Test
    void killEndsAProcessAndItsChildren() throws Exception {
        var none = OutputStream.nullOutputStream();
        NestedProcess process =
                host.exec(List.of("sh", "-c", "sleep 1234 & sleep 1234; true"), none, none);
        process.pid();
        process.kill();
        assertEquals(128 + 9, process.await(LIMIT));
        assertEquals("", run(host, "sh", "-c", "ps | grep '[s]leep 1234'").out());
    }

    @Test
    void clockIsThatOfThisMachine() throws Exception {
        long there = Long.parseLong(run(host, "date", "+%s").out().strip());
        assertTrue(Math.abs(Instant.now().getEpochSecond() - there) <= 3);
    }

    @Test
    void treesAreCopiedInAndOut() throws Exception {
        Path tree = Files.createDirectories(directory.resolve("tree/inner"));
        Files.writeString(tree.resolve("file with a blank"), "content");
        Files.createSymbolicLink(tree.resolve("link"), Path.of("file with a blank"));
        Path back = directory.resolve("back");

        host.copyIn(directory.resolve("tree"), "/tmp/there/tree");
        host.copyOut("/tmp/there/tree", back);

        assertEquals("content", Files.readString(back.resolve("inner/file with a blank")));
        assertEquals("content", Files.readString(back.resolve("inner/link")));
        assertTrue(Files.isSymbolicLink(back.resolve("inner/link")));
    }

    @Test
    void fileIsCopiedInAndOut() throws Exception {
        Path file = directory.resolve("file");
        byte[] bytes = new byte[1 << 20];
        new Random(2).nextBytes(bytes);
        Files.write(file, bytes);
        host.copyIn(file, "/tmp/new/folder/file");
        host.copyOut("/tmp/new/folder/file", directory.resolve("copy"));
        assertEquals(-1, Files.mismatch(file, directory.resolve("copy")));
    }

    @Test
    void copyOverSomethingIsRefused() throws Exception {
        Path file = Files.createFile(directory.resolve("taken"));
        assertThrows(FileAlreadyExistsException.class, () -> host.copyOut("/etc/passwd", file));
    }

    @Test
    void copyOfNothingLeavesNothing() throws Exception {
        var failure =
                assertThrows(
                        NestedHostException.class,
                        () -> host.copyOut("/no/such/file", directory.resolve("copy")));
        assertContains("/no/such/file", failure);
        try (var files = Files.list(directory)) {
            assertEquals(0, files.count());
        }
    }

    @Test
    void kernelPanicEndsItWithItsWords() throws Exception {
        try (NestedHost other = NestedHost.start(SETTINGS)) {
            var failure =
                    assertThrows(
                            NestedHostException.class,
                            () -> run(other, "sh", "-c", "echo c >/proc/sysrq-trigger"));
            assertEquals(
                    "the nested host has ended: kernel panic: sysrq triggered crash",
                    failure.getMessage());
            assertFalse(other.isAlive());
        }
        assertEquals(0, run(host, "true").status());
    }

    @Test
    void timeLimitEndsIt() throws Exception {
        try (NestedHost other = NestedHost.start(SETTINGS.withTimeLimit(Duration.ofSeconds(2)))) {
            var failure =
                    assertThrows(NestedHostException.class, () -> run(other, "sleep", "1000"));
            assertContains("time limit of 2 s", failure);
        }
    }

    @Test
    void closeEndsWhatRuns() throws Exception {
        NestedHost other = NestedHost.start(SETTINGS);
        var none = OutputStream.nullOutputStream();
        NestedProcess process = other.exec(List.of("sleep", "1000"), none, none);
        process.pid();
        other.close();
        assertThrows(NestedHostException.class, () -> process.await(LIMIT));
        assertThrows(NestedHostException.class, () -> other.exec(List.of("true"), none, none));
        other.ended().get(LIMIT.toSeconds(), TimeUnit.SECONDS);
    }

    @Test
    void nestedHostsSideBySideDoNotMeet() throws Exception {
        try (NestedHost one = NestedHost.start(SETTINGS);
                NestedHost two = NestedHost.start(SETTINGS)) {
            run(one, "touch", "/tmp/only-in-one");
            assertEquals(0, run(one, "test", "-e", "/tmp/only-in-one").status());
            assertEquals(1, run(two, "test", "-e", "/tmp/only-in-one").status());
        }
    }
}
