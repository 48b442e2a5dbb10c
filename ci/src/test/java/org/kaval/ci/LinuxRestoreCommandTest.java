package org.kaval.ci;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.SocketException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.testing.Effort;
import org.kaval.testing.FileMaker;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Debian's unmodified kernel with four vCPUs counts, and writes to its disk and reads again, in
/// one process after the other: each goes on from the snapshot of the one before.
@NeedsHardwareVirtualization
@Timeout(value = 240, unit = TimeUnit.MINUTES) // with full effort where all is emulated
@NeedsFiles(
        value = {"../cli/target/kaval", LinuxRestoreCommandTest.FOLDER},
        madeBy = LinuxRestoreCommandTest.Guest.class)
class LinuxRestoreCommandTest {
    static final String FOLDER = "target/guests/counting";

    private static final int ROUNDS = Effort.amount(50, 1);
    private static final Duration LIMIT = Duration.ofMinutes(10);
    private static final String NAME = "web";
    private static final Pattern TICK = Pattern.compile("tick: (\\d+) (\\d+)\\.(\\d{6})\r\n");
    private static final String PAUSE =
            "POST /v1/vm/pause HTTP/1.1\r\nHost: kaval\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    private static final long CLOCK_TOLERANCE = 1_000_000;
    private static final int QUESTIONS = 3;

    private static final CommandGuest GUEST = new CommandGuest(FOLDER);

    static final class Guest implements FileMaker {
        @Override
        public void make(Path module) throws IOException, InterruptedException {
            String init = Files.readString(module.resolve("src/test/guest/counting-init"));
            GUEST.make(module, Map.of(), init, "virtio_pci", "virtio_blk");
        }
    }

    /// @param micros by the guest's clock
    private record Tick(int number, long micros) {}

    @TempDir private Path directory = Path.of("");

    /// What all processes before have logged.
    private String past = "";

    private int asked;

    private NamedMachines machines() {
        return new NamedMachines(directory.resolve("run"));
    }

    private Path file(String name) {
        return machines().file(NAME, name);
    }

    private String console() throws IOException {
        return past + Files.readString(file("log"), StandardCharsets.ISO_8859_1);
    }

    /// What the guest has counted: neither is a number missing nor is one there twice, and its
    /// clock does not go backwards.
    private static List<Tick> ticks(String console) {
        var ticks = new ArrayList<Tick>();
        for (MatchResult line : TICK.matcher(console).results().toList()) {
            int number = Integer.parseInt(line.group(1));
            var tick = new Tick(number, micros(line.group(2), line.group(3)));
            assertEquals(ticks.size() + 1, number, console);
            assertTrue(
                    ticks.isEmpty() || tick.micros >= ticks.getLast().micros,
                    "backwards: " + console);
            ticks.add(tick);
        }
        return ticks;
    }

    private MatchResult await(Pattern form) throws Exception {
        long end = System.nanoTime() + LIMIT.toNanos();
        while (true) {
            String console = console();
            Matcher found = form.matcher(console);
            if (found.find()) {
                return found;
            }
            assertTrue(System.nanoTime() < end, () -> "no " + form + ": " + console);
            Thread.sleep(50);
        }
    }

    private static long micros(String seconds, String micros) {
        return Long.parseLong(seconds + micros);
    }

    /// By how many microseconds the guest's clock is ahead of the host's, at least and at most.
    private record Ahead(long least, long most) {
        Ahead and(Ahead other) {
            return new Ahead(Math.max(least, other.least), Math.min(most, other.most));
        }
    }

    /// Asks the guest for the time; again, if it has taken long to answer.
    private Ahead clock() throws Exception {
        Ahead ahead = askTime();
        for (int i = 1; i < QUESTIONS && ahead.most - ahead.least > CLOCK_TOLERANCE; i++) {
            ahead = ahead.and(askTime());
        }
        return ahead;
    }

    private Ahead askTime() throws Exception {
        int number = ++asked;
        long before = hostMicros();
        try (SocketChannel console = connect(file("console"))) {
            console.write(ByteBuffer.wrap((number + "\n").getBytes(US_ASCII)));
            MatchResult answer =
                    await(Pattern.compile("asked: %d (\\d+)\\.(\\d{6})\r\n".formatted(number)));
            long guest = micros(answer.group(1), answer.group(2));
            return new Ahead(guest - hostMicros(), guest - before);
        }
    }

    private static long hostMicros() {
        return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
    }

    private void assertClockIsStill(Ahead before) throws Exception {
        Ahead now = clock();
        assertTrue(
                now.least - before.most <= CLOCK_TOLERANCE
                        && before.least - now.most <= CLOCK_TOLERANCE,
                now + ", before " + before);
    }

    /// Has it compare all that it has written, and end.
    private void end() throws Exception {
        try (SocketChannel console = connect(file("console"))) {
            console.write(ByteBuffer.wrap("enough\n".getBytes(US_ASCII)));
            machines().ok("wait", NAME);
        }
        ticks(console());
        assertFalse(console().contains("complaint"), console());
        assertTrue(console().contains("with 4 processors"), console());
        assertEquals("", Files.readString(file("errors")));
    }

    @Test
    void guestGoesOnInOneProcessAfterTheOther() throws Exception {
        Path disk = Files.write(directory.resolve("disk.img"), new byte[4 << 20]);
        String snapshot = directory.resolve("snapshot").toString();
        List<String> options =
                List.of("--name", NAME, "--detach", "--cpus", "4", "--disk", disk.toString());
        try {
            machines().start(GUEST.arguments("", options));
            await(TICK);
            Ahead ahead = clock();
            for (int i = 0; i < ROUNDS; i++) {
                pause();
                machines().ok("snapshot", NAME, snapshot);
                machines().ok("kill", NAME);
                past = console();
                machines().start(List.of("restore", snapshot, "--name", NAME, "--detach"));
                assertClockIsStill(ahead);
            }
            end();
        } finally {
            machines().process(NAME).ifPresent(ProcessHandle::destroyForcibly);
        }
    }

    /// What `kaval pause` does: there the guest would compete with the start of a command.
    private void pause() throws Exception {
        try (SocketChannel api = connect(file("api"))) {
            api.write(ByteBuffer.wrap(PAUSE.getBytes(US_ASCII)));
            byte[] answer = Channels.newInputStream(api).readAllBytes();
            assertTrue(new String(answer, US_ASCII).startsWith("HTTP/1.1 200 "));
        }
    }

    /// A machine that has just begun may not listen yet.
    private static SocketChannel connect(Path socket) throws Exception {
        long end = System.nanoTime() + LIMIT.toNanos();
        while (true) {
            try {
                return SocketChannel.open(UnixDomainSocketAddress.of(socket));
            } catch (SocketException e) {
                assertTrue(System.nanoTime() < end, e::toString);
                Thread.sleep(50);
            }
        }
    }
}
