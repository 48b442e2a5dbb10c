package org.kaval.cli;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What clients see of a guest's output; what they type is tested with a guest.
class ConsoleSocketTest {
    private static final Pattern LOSS = Pattern.compile("\r\n\\[kaval: (\\d+) bytes lost\\]\r\n");

    @TempDir Path directory;
    private Path path;

    @BeforeEach
    void namePath() {
        path = directory.resolve("console");
    }

    private SocketChannel connect() throws IOException {
        return SocketChannel.open(UnixDomainSocketAddress.of(path));
    }

    private static String read(SocketChannel client, int count) throws IOException {
        return new String(Channels.newInputStream(client).readNBytes(count), US_ASCII);
    }

    private static void write(ConsoleSocket console, String text) throws IOException {
        console.output().write(text.getBytes(US_ASCII));
    }

    @Test
    void everyClientGetsWhatWasAndWhatComes() throws Exception {
        try (ConsoleSocket console = ConsoleSocket.open(path, ConsoleLog.none())) {
            write(console, "was, ");
            try (SocketChannel one = connect();
                    SocketChannel other = connect()) {
                assertEquals("was, ", read(one, 5));
                assertEquals("was, ", read(other, 5));
                write(console, "comes");
                assertEquals("comes", read(one, 5));
                assertEquals("comes", read(other, 5));
            }
        }
    }

    @Test
    void clientGetsTheLast64KibibytesOfWhatWas() throws Exception {
        try (ConsoleSocket console = ConsoleSocket.open(path, ConsoleLog.none())) {
            write(console, "x".repeat(100));
            write(console, "y".repeat(64 << 10));
            try (SocketChannel client = connect()) {
                assertEquals("y".repeat(64 << 10), read(client, 64 << 10));
                write(console, "z");
                assertEquals("z", read(client, 1));
            }
        }
    }

    @Test
    void clientThatDoesNotReadMissesSomeAndIsToldSo() throws Exception {
        try (ConsoleSocket console = ConsoleSocket.open(path, ConsoleLog.none());
                SocketChannel slow = connect()) {
            write(console, "begin");
            assertEquals("begin", read(slow, 5)); // so it is connected, and misses nothing yet
            for (int i = 0; i < 64; i++) {
                write(console, "x".repeat(64 << 10)); // 4 MiB, which nobody waits for
            }
            write(console, "end");
            String rest = readUntil(slow, "end");
            long lost = 0;
            Matcher note = LOSS.matcher(rest);
            while (note.find()) {
                lost += Long.parseLong(note.group(1));
            }
            String got = note.replaceAll("");
            assertTrue(lost > 0, rest.length() + " bytes, and no note of a loss");
            // every byte is there or counted: a wrong count, or a torn note, shows here
            assertEquals("x".repeat(Math.toIntExact((4 << 20) - lost)) + "end", got);
        }
    }

    private static String readUntil(SocketChannel client, String end) throws IOException {
        var text = new StringBuilder();
        ByteBuffer chunk = ByteBuffer.allocate(64 << 10);
        while (!text.toString().endsWith(end)) {
            assertTrue(client.read(chunk.clear()) > 0);
            text.append(US_ASCII.decode(chunk.flip()));
        }
        return text.toString();
    }

    @Test
    void lastOutputGoesOutBeforeTheEnd() throws Exception {
        SocketChannel client;
        try (ConsoleSocket console = ConsoleSocket.open(path, ConsoleLog.none())) {
            client = connect();
            write(console, "first");
            assertEquals("first", read(client, 5));
            write(console, "last");
        }
        try (client) {
            assertEquals(
                    "last", new String(Channels.newInputStream(client).readAllBytes(), US_ASCII));
        }
        assertFalse(Files.exists(path));
    }

    @Test
    void isForItsOwnerOnlyAndLeavesNothing() throws Exception {
        try (ConsoleSocket _ = ConsoleSocket.open(path, ConsoleLog.none())) {
            assertEquals(
                    "rw-------",
                    PosixFilePermissions.toString(Files.getPosixFilePermissions(path)));
            assertEquals(List.of(path), files());
        }
        assertEquals(List.of(), files());
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.toList();
        }
    }

    @Test
    void socketOfOneThatDiedIsReplaced() throws Exception {
        try (ServerSocketChannel dead = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            dead.bind(UnixDomainSocketAddress.of(path));
        }
        try (ConsoleSocket console = ConsoleSocket.open(path, ConsoleLog.none());
                SocketChannel client = connect()) {
            write(console, "new");
            assertEquals("new", read(client, 3));
        }
    }

    @Test
    void socketInUseIsRefused() throws Exception {
        try (ConsoleSocket _ = ConsoleSocket.open(path, ConsoleLog.none())) {
            var refused =
                    assertThrows(
                            FileAlreadyExistsException.class,
                            () -> ConsoleSocket.open(path, ConsoleLog.none()));
            assertEquals(path + ": is in use", refused.getMessage());
        }
    }

    @Test
    void fileIsNotReplaced() throws Exception {
        Files.writeString(path, "dear");
        assertThrows(
                FileAlreadyExistsException.class,
                () -> ConsoleSocket.open(path, ConsoleLog.none()));
        assertEquals("dear", Files.readString(path));
    }
}
