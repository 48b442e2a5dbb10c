package org.kaval.ci;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.ci.Processes.Result;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsKvm;

/// Machines with names, as other commands get at them.
@NeedsKvm
@Timeout(value = 30, unit = TimeUnit.MINUTES) // two dozen starts of a JVM, emulated
@NeedsFiles("../cli/target/kaval")
class NamedVmTest {
    @TempDir private Path directory = Path.of("");

    private NamedMachines machines() {
        return new NamedMachines(directory.resolve("run"));
    }

    private Result kaval(String... arguments) throws Exception {
        return machines().kaval(arguments);
    }

    private String ok(String... arguments) throws Exception {
        return machines().ok(arguments);
    }

    private String refused(String... arguments) throws Exception {
        Result result = kaval(arguments);
        assertEquals(2, result.status(), result.out() + result.err());
        return result.err();
    }

    private static void assertContains(String part, String all) {
        assertTrue(all.contains(part), all);
    }

    /// Without another command, each of which takes a while.
    private void killClone(String name) throws Exception {
        assertTrue(Files.exists(machines().file(name, "vm.json")), name);
        assertTrue(machines().process(name).orElseThrow().destroyForcibly());
    }

    private Path payload() throws IOException {
        return Files.write(directory.resolve("payload"), Payloads.hello());
    }

    private void start(String name, String... more) throws Exception {
        var arguments = new ArrayList<>(List.of("run", "--name", name, "-d", "--memory", "16M"));
        arguments.addAll(List.of("--payload", payload().toString()));
        arguments.addAll(List.of(more));
        ok(arguments.toArray(String[]::new));
    }

    @Test
    void machineInTheBackgroundIsSeenStoppedAndForgotten() throws Exception {
        start("web", "--balloon", "on");
        try {
            assertContains("web                  running", ok("ps"));
            assertEquals(
                    "kaval: name: a machine called 'web' is running\n",
                    refused("run", "--name", "web", "-d", "--payload", "x"));
            ok("pause", "web");
            assertTrue(ok("inspect", "web").contains("\"state\" : \"paused\""));
            assertEquals("kaval: web: it is paused\n", refused("pause", "web"));
            ok("resume", "web");
            assertContains("IO ", ok("stats", "web"));
            assertTrue(refused("rm", "web").contains("stop it first"));
            assertEquals(
                    "kaval: web: the machine has 16777216 bytes, and not 33554432\n",
                    refused("balloon", "web", "32M"));
            String snapshot = directory.resolve("snapshot").toString();
            assertTrue(ok("snapshot", "web", snapshot, "--live").contains("stood still for"));
            ok("restore", snapshot, "--clones", "2", "--name", "copy", "--prefault");
            killClone("copy-1");
            killClone("copy-2");
            String packed = directory.resolve("packed").toString();
            ok("snapshot", "web", packed, "--compress", "zstd", "--base", snapshot);
            ok("restore", packed, "--clones", "1", "--name", "packed");
            killClone("packed-1");
        } finally {
            ok("kill", "web");
        }
        assertEquals("hello\n", ok("logs", "web"));
        assertEquals("kaval: name: 'web' does not run\n", refused("pause", "web"));
        Result end = kaval("wait", "web");
        assertEquals("stopped\n", end.out(), end.err());
        assertEquals(137, end.status());
        assertFalse(ok("ps").contains("web"));
        assertTrue(ok("ps", "-a").contains("web                  ended"));
        ok("rm", "web");
        assertFalse(ok("ps", "-a").contains("web"));
    }

    @Test
    void machineThatWasKilledIsToldFromOneThatRuns() throws Exception {
        start("poor");
        String process = ok("inspect", "poor").replaceAll("(?s).*\"process\" : (\\d+).*", "$1");
        Processes.run("kill", "-KILL", process);
        Result end = kaval("wait", "poor");
        assertEquals("its process was killed\n", end.out(), end.err());
        assertEquals(1, end.status());
        assertTrue(ok("ps", "-a").contains("poor                 died"));
        start("poor"); // its name is free
        ok("rm", "--force", "poor");
        assertFalse(Files.exists(directory.resolve("run/poor")));
    }

    @Test
    void consoleOfAMachineInTheBackgroundMayLeadElsewhere() throws Exception {
        Path console = directory.resolve("console");
        start("web", "--console", "file=" + console);
        try {
            assertContains("or with --console", refused("console", "web"));
            assertContains("or with --console", refused("logs", "web"));
            while (!Files.readString(console).equals("hello\n")) {
                Thread.sleep(10);
            }
        } finally {
            ok("kill", "web");
        }
    }

    @Test
    void whatWasTypedByOneWhoHasLeftIsTyped() throws Exception {
        Path echo = Files.write(directory.resolve("echo"), Payloads.echo());
        ok("run", "--name", "web", "-d", "--memory", "16M", "--payload", echo.toString());
        String text = "x".repeat(20_000); // more than is read and echoed at once
        try (SocketChannel client =
                SocketChannel.open(UnixDomainSocketAddress.of(machines().file("web", "console")))) {
            ByteBuffer bytes = ByteBuffer.wrap((text + "\n").getBytes(US_ASCII));
            while (bytes.hasRemaining()) {
                client.write(bytes);
            }
        }
        assertEquals(7, kaval("wait", "web").status());
        assertEquals(">" + text, ok("logs", "web").strip());
    }

    @Test
    void oneThatDoesNotRunKeepsNobodyFromTheOthers() throws Exception {
        start("web");
        Result killed = kaval("kill", "nobody", "web");
        assertEquals(2, killed.status(), killed.err());
        assertEquals("kaval: name: no machine is called 'nobody'\n", killed.err());
        assertTrue(ok("ps", "-a").contains("web                  ended"));
        assertTrue(refused("stats", "--watch", "web").contains("does not run"));
        assertTrue(refused("rm", "nobody", "web").contains("no machine is called 'nobody'"));
        assertFalse(ok("ps", "-a").contains("web"));
    }

    @Test
    void consoleShowsWhatComesAfterTheMachineReadsNoMore() throws Exception {
        start("web");
        Path console = machines().file("web", "console");
        Files.delete(console);
        // more than a socket holds: it still types when nobody reads any more
        Path typed = Files.write(directory.resolve("typed"), new byte[4 << 20]);
        try (ServerSocketChannel machine = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            machine.bind(UnixDomainSocketAddress.of(console));
            try (RunningCommand watcher = machines().run(typed, List.of("console", "web"));
                    SocketChannel client = machine.accept()) {
                client.shutdownInput();
                Thread.sleep(500); // for it to notice
                client.write(ByteBuffer.wrap("last words\n".getBytes(US_ASCII)));
                client.shutdownOutput();
                assertEquals(0, watcher.awaitExit(), watcher.error());
                assertEquals("last words\n", watcher.output());
            }
        } finally {
            ok("kill", "web");
        }
    }

    @Test
    void whatCannotStartSaysWhyAndLeavesNothing() throws Exception {
        assertEquals(
                "kaval: /none: no such file\n",
                refused("run", "--name", "web", "--detach", "--payload", "/none"));
        assertTrue(refused("run", "-d", "--payload", "x").contains("goes with --name"));
        assertTrue(refused("run", "--name", "../x", "--payload", "x").contains("'../x'"));
        assertTrue(refused("stop", "nobody").contains("no machine is called 'nobody'"));
        assertEquals(
                "kaval: balloon: the machine has 16777216 bytes, and not 33554432\n",
                refused("run", "--payload", payload().toString(), "--memory=16M", "--balloon=32M"));
        assertFalse(ok("ps", "-a").contains("web"));
    }
}
