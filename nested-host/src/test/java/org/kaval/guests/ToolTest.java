package org.kaval.guests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ToolTest {
    private static final Tool SHELL = Tool.of("sh", "dash");

    @TempDir Path directory;

    private static String problem(String script) {
        return Problem.line(
                assertThrows(ToolException.class, () -> SHELL.run("to try", "-c", script)));
    }

    @Test
    void outputIsReturned() throws Exception {
        assertEquals("a\nb\n", SHELL.run("to try", "-c", "echo a; echo no >&2; echo b"));
        assertEquals(
                "v C " + directory + "\n",
                SHELL.with("K", "v").in(directory).run("to try", "-c", "echo $K $LC_ALL $PWD"));
    }

    @Test
    void muchOutputOnBothStreamsIsNoProblem() throws Exception {
        String script = "yes | head -c 300000 >&2; yes | head -c 200000";
        assertEquals(200_000, SHELL.run("to try", "-c", script).length());
    }

    @Test
    void failureSaysWhatTheProgramSaidLast() {
        assertEquals(
                "sh, needed to try: no space",
                problem("echo first >&2; echo 'sh: no space' >&2; exit 1"));
        assertEquals("sh, needed to try: exit status 7", problem("exit 7"));
        assertEquals(
                "sh, needed to try: tar: x: No space left on device",
                problem(
                        """
                        echo 'tar: x: No space left on device' >&2
                        echo 'tar: Exiting with failure status due to previous errors' >&2
                        echo 'dpkg-deb: error: tar subprocess returned error exit status 2' >&2
                        exit 2\
                        """));
    }

    @Test
    void missingProgramIsNamedWithItsPackage() {
        Tool missing = Tool.of("no-such-program", "some-package");
        IOException e = assertThrows(ToolException.class, () -> missing.run("to try"));
        assertEquals(
                "no-such-program, needed to try: not installed (on Debian: apt install some-package)",
                e.getMessage());
    }

    @Test
    void programThatTakesTooLongIsKilledWithItsChildren() throws Exception {
        Path pids = directory.resolve("pids");
        String script = "sleep 1000 & echo $! $$ > %s; wait".formatted(pids);
        Tool impatient = SHELL.within(Duration.ofSeconds(2));
        IOException e =
                assertThrows(ToolException.class, () -> impatient.run("to wait", "-c", script));
        assertEquals("sh, needed to wait: not done after 2 s", e.getMessage());
        assertEnded(pids);
    }

    @Test
    void interruptedThreadKillsProgramAndChildren() throws Exception {
        Path pids = directory.resolve("pids");
        Path fifo = directory.resolve("fifo");
        Tool.of("mkfifo", "coreutils").run("to wait", fifo.toString());
        String script = "sleep 1000 & echo $! $$ > %s; echo > %s; wait".formatted(pids, fifo);
        var interrupted = new CompletableFuture<Boolean>();
        Thread thread =
                Thread.ofPlatform()
                        .start(() -> {
                            try {
                                SHELL.run("to wait", "-c", script);
                                interrupted.complete(false);
                            } catch (InterruptedException e) {
                                interrupted.complete(true);
                            } catch (IOException e) {
                                interrupted.completeExceptionally(e);
                            }
                        });
        Files.readString(fifo); // until the script has come so far
        thread.interrupt();
        assertTrue(interrupted.get());
        assertEnded(pids);
    }

    private static void assertEnded(Path pids) throws IOException, InterruptedException {
        for (String pid : Files.readString(pids).strip().split(" ", -1)) {
            ProcessHandle.of(Long.parseLong(pid)).ifPresent(handle -> handle.onExit().join());
            assertFalse(
                    ProcessHandle.of(Long.parseLong(pid))
                            .map(ProcessHandle::isAlive)
                            .orElse(false));
        }
    }
}
