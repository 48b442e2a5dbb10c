package org.kaval.ci;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.ci.Processes.Result;
import org.kaval.testing.Effort;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsKvm;

/// How `kaval run` and a person or another program deal with each other while a guest runs:
/// terminal, keys, signals, restarts, consoles.
@NeedsKvm
@NeedsFiles("../cli/target/kaval")
class RunCommandTest {
    private static final File NOTHING = new File("/dev/null");
    private static final String ESCAPE = "\u001d";

    /// 64-bit: sends 'R' and asks the keyboard controller for a reset.
    private static final byte[] RESTART =
            Payloads.bytes(
                    "66 ba f8 03", // mov dx, 0x3f8
                    "b0 52", // mov al, 'R'
                    "ee", // out dx, al
                    "b0 fe", // mov al, 0xfe
                    "e6 64", // out 0x64, al
                    "f4"); // hlt

    @TempDir Path directory;

    private RunningCommand start(File input, byte[] code, String... options) throws IOException {
        return RunningCommand.startPayload(input, directory, code, options);
    }

    @Test
    void terminalIsRawMeanwhileAndItselfAfterwards() throws Exception {
        try (var pty = new Pty()) {
            String before = pty.settings();
            try (RunningCommand kaval = start(pty.terminal(), Payloads.echo())) {
                kaval.awaitOutput(">");
                assertTrue(pty.settings().contains("-icanon"), pty.settings());
                pty.type("a\r\u0003");
                kaval.awaitOutput(">a\r\u0003"); // Ctrl-C is the guest's
                pty.type(ESCAPE + "q");
                assertEquals(130, kaval.awaitExit());
            }
            assertEquals(before, pty.settings());
        }
    }

    @Test
    void terminalIsItselfAfterASignal() throws Exception {
        try (var pty = new Pty()) {
            String before = pty.settings();
            try (RunningCommand kaval = start(pty.terminal(), Payloads.echo())) {
                kaval.awaitOutput(">");
                kaval.signal("TERM");
                assertEquals(143, kaval.awaitExit());
            }
            assertEquals(before, pty.settings());
        }
    }

    @Test
    void keysPauseAndResume() throws Exception {
        try (var pty = new Pty();
                RunningCommand kaval = start(pty.terminal(), Payloads.echo())) {
            kaval.awaitOutput(">");
            pty.type(ESCAPE + "p");
            kaval.awaitError("the guest is paused");
            pty.type("waits");
            pty.type(ESCAPE + "s");
            kaval.awaitError("exits to user space");
            assertEquals(">", kaval.output());
            pty.type(ESCAPE + "p");
            kaval.awaitOutput(">waits");
            pty.type("\n");
            assertEquals(7, kaval.awaitExit());
        }
    }

    @Test
    void helpListsTheKeysInLinesOfARawTerminal() throws Exception {
        try (var pty = new Pty();
                RunningCommand kaval = start(pty.terminal(), Payloads.echo())) {
            kaval.awaitOutput(">");
            pty.type(ESCAPE + "?");
            kaval.awaitError("send Ctrl-] to the guest\r\n");
            pty.type(ESCAPE + ESCAPE);
            kaval.awaitOutput(">" + ESCAPE);
            assertTrue(kaval.error().contains("Ctrl-] p  pause the guest"), kaval.error());
        }
    }

    @Test
    void pasteLosesNothing() throws Exception {
        String pasted = "0123456789abcdef".repeat(Effort.times(2048)); // 32 KiB at full speed
        try (var pty = new Pty();
                RunningCommand kaval = start(pty.terminal(), Payloads.echo())) {
            kaval.awaitOutput(">");
            pty.type(pasted + "\n");
            assertEquals(7, kaval.awaitExit());
            assertEquals(">" + pasted, kaval.output());
        }
    }

    @Test
    void keysAreNoKeysInAPipe() throws Exception {
        Path input = Files.writeString(directory.resolve("input"), ESCAPE + "q\n");
        try (RunningCommand kaval = start(input.toFile(), Payloads.echo())) {
            assertEquals(7, kaval.awaitExit());
            assertEquals(">" + ESCAPE + "q", kaval.output());
        }
    }

    @Test
    void guestThatRestartsStartsAgain() throws Exception {
        try (RunningCommand kaval = start(NOTHING, RESTART)) {
            kaval.awaitOutput("R", 3);
            kaval.signal("INT");
            assertEquals(130, kaval.awaitExit());
        }
    }

    @Test
    void restartIsTheEndIfSoWanted() throws Exception {
        try (RunningCommand kaval = start(NOTHING, RESTART, "--on-reboot", "exit")) {
            assertEquals(0, kaval.awaitExit());
            assertEquals("R", kaval.output());
        }
    }

    @Test
    void timeLimitIsForAllRestarts() throws Exception {
        try (RunningCommand kaval = start(NOTHING, RESTART, "--time-limit", "3")) {
            assertEquals(4, kaval.awaitExit());
        }
    }

    @Test
    void hangUpAndTerminationAreTold() throws Exception {
        assumeFalse(hangUpIsIgnored(), "these tests were started with nohup, or like that");
        try (RunningCommand kaval = start(NOTHING, Payloads.echo())) {
            kaval.awaitOutput(">");
            kaval.signal("HUP");
            assertEquals(129, kaval.awaitExit());
        }
    }

    /// As whoever started this process wanted it for all that it starts.
    private static boolean hangUpIsIgnored() throws IOException {
        String ignored =
                Files.readString(Path.of("/proc/self/status"))
                        .replaceAll("(?s).*SigIgn:\\s*(\\p{XDigit}+).*", "$1");
        return (Long.parseUnsignedLong(ignored, 16) & 1) != 0;
    }

    @Test
    void guestOutlivesItsTerminalUnderNohup() throws Exception {
        Path payload = Files.write(directory.resolve("payload"), Payloads.echo());
        try (RunningCommand kaval =
                RunningCommand.start(
                        NOTHING,
                        List.of(
                                "sh",
                                "-c",
                                "trap '' HUP; exec \"$@\"",
                                "sh",
                                Image.kaval(),
                                "run",
                                "--payload",
                                payload.toString()))) {
            kaval.awaitOutput(">");
            kaval.signal("HUP");
            kaval.signal("INT");
            assertEquals(130, kaval.awaitExit());
        }
    }

    @Test
    void haltIsToldFromPowerOff() throws Exception {
        byte[] halt = Payloads.bytes("fa", "f4", "eb fd"); // cli; next: hlt; jmp next
        try (RunningCommand kaval = start(NOTHING, halt)) {
            assertEquals(1, kaval.awaitExit());
            List<String> lines = kaval.error().lines().toList();
            assertEquals(
                    "kaval: the guest halted for good, without powering off", lines.getFirst());
            assertTrue(
                    kaval.error().contains("halted, long mode, ring 0, interrupts off"),
                    kaval.error());
        }
    }

    @Test
    void guestThatPrintsNothingIsLookedAt() throws Exception {
        try (RunningCommand kaval = start(NOTHING, Payloads.count())) {
            kaval.awaitError("kaval: nothing on the serial port for 10 s");
            kaval.awaitError("serial port: never touched");
            kaval.signal("INT");
            assertEquals(130, kaval.awaitExit());
        }
    }

    @Test
    void traceHasWhatTheGuestDidToItsDevices() throws Exception {
        Path trace = directory.resolve("trace");
        try (RunningCommand kaval =
                start(
                        NOTHING,
                        RESTART,
                        "--on-reboot",
                        "exit",
                        "--trace",
                        "pio",
                        "--trace-file",
                        trace.toString())) {
            assertEquals(0, kaval.awaitExit(), kaval.error());
        }
        List<String> lines = Files.readAllLines(trace);
        assertEquals(2, lines.size(), lines.toString());
        assertTrue(
                lines.getFirst().matches(".*vcpu-0 +pio +write 0x3f8 +1 0x52 .*16550A.*"),
                lines.toString());
        assertTrue(
                lines.getLast().matches(".*vcpu-0 +pio +write 0x64 +1 0xfe .*8042.*"),
                lines.toString());
    }

    @Test
    void consoleGoesToTheEndOfAFile() throws Exception {
        Path file = Files.writeString(directory.resolve("log"), "before ");
        try (RunningCommand kaval =
                start(NOTHING, RESTART, "--on-reboot", "exit", "--console", "file=" + file)) {
            assertEquals(0, kaval.awaitExit());
            assertEquals("", kaval.output());
        }
        assertEquals("before R", Files.readString(file));
    }

    @Test
    void consoleGoesNowhere() throws Exception {
        try (RunningCommand kaval =
                start(NOTHING, RESTART, "--on-reboot", "exit", "--console", "none")) {
            assertEquals(0, kaval.awaitExit());
            assertEquals("", kaval.output());
        }
    }

    @Test
    void consoleIsASocketForSeveral() throws Exception {
        Path path = directory.resolve("socket");
        try (RunningCommand kaval = start(NOTHING, Payloads.echo(), "--console", "socket=" + path);
                SocketChannel types = connect(kaval, path);
                SocketChannel watches = SocketChannel.open(UnixDomainSocketAddress.of(path))) {
            String typed = "x".repeat(10_000); // more than the guest has room for
            types.write(ByteBuffer.wrap((typed + "\n").getBytes(US_ASCII)));
            // both read from the beginning: the command waits 2 s for those who do not
            var typist = CompletableFuture.supplyAsync(() -> readAll(types));
            var watcher = CompletableFuture.supplyAsync(() -> readAll(watches));
            assertEquals(7, kaval.awaitExit());
            assertEquals(">" + typed, typist.get(1, TimeUnit.MINUTES));
            assertEquals(">" + typed, watcher.get(1, TimeUnit.MINUTES));
        }
        assertFalse(Files.exists(path));
    }

    private static String readAll(SocketChannel client) {
        try {
            return new String(Channels.newInputStream(client).readAllBytes(), US_ASCII);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static SocketChannel connect(RunningCommand kaval, Path path) throws Exception {
        while (kaval.isRunning() && !Files.exists(path)) {
            Thread.sleep(10);
        }
        return SocketChannel.open(UnixDomainSocketAddress.of(path));
    }

    @Test
    void kernelWithAPayloadIsRefused() throws Exception {
        Result result =
                Processes.run(Image.kaval(), "run", "--payload", "one", "--kernel", "other");
        assertEquals(2, result.status());
        assertEquals(
                List.of("kaval: payload: goes without --kernel and --initrd"), result.errorLines());
    }

    @Test
    void fileThatIsNoKernelIsRefused() throws Exception {
        Path file = Files.writeString(directory.resolve("kernel"), "no kernel");
        Result result = Processes.run(Image.kaval(), "run", "--kernel", file.toString());
        assertEquals(2, result.status());
        assertEquals(1, result.errorLines().size(), result.err());
        assertTrue(result.err().startsWith("kaval: " + file + ": "), result.err());
    }
}
