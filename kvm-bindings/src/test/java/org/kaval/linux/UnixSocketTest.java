package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Objects;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class UnixSocketTest {
    private static final int LARGE = 4 << 20;

    @TempDir private Path directory;
    private Path path = Path.of("");
    private Fd listener;

    @BeforeEach
    void listen() throws ErrnoException {
        path = directory.resolve("s");
        listener = UnixSocket.listen(path);
    }

    @AfterEach
    void close() {
        listener.close();
    }

    private Fd accept() throws ErrnoException {
        return Objects.requireNonNull(UnixSocket.accept(listener));
    }

    private static IoVector text(Arena arena, String text) {
        return IoVector.of(arena.allocateFrom(text, US_ASCII).asSlice(0, text.length()));
    }

    @Test
    void bytesGoBothWaysInPieces() throws Exception {
        try (Arena arena = Arena.ofShared();
                Fd client = UnixSocket.connect(path);
                Fd server = accept()) {
            assertEquals(5, client.writev(text(arena, "+hello-"), 1, 5));
            MemorySegment first = arena.allocate(2);
            MemorySegment second = arena.allocate(8);
            var into = new IoVector(2);
            into.add(first, 0, 2);
            into.add(second, 0, 8);

            assertEquals(5, server.readv(into, 0, 10));
            assertEquals("he", new String(first.toArray(JAVA_BYTE), US_ASCII));
            assertEquals("llo", second.getString(0, US_ASCII));
            assertEquals(-1, server.readv(into, 0, 10));
            assertEquals(2, server.writev(text(arena, "ok"), 0, 2));
            assertEquals(1, client.readv(into, 1, 1));
            assertEquals('o', first.get(JAVA_BYTE, 1));
        }
    }

    @Test
    void nothingBlocks() throws Exception {
        assertNull(UnixSocket.accept(listener));
        try (Arena arena = Arena.ofShared();
                Fd client = UnixSocket.connect(path);
                Fd server = accept()) {
            IoVector much = IoVector.of(arena.allocate(LARGE));
            long taken = client.writev(much, 0, LARGE);

            assertTrue(taken > 0 && taken < LARGE, () -> taken + " bytes");
            assertEquals(-1, client.writev(much, 0, LARGE));
            assertEquals(taken, server.readv(much, 0, LARGE));
        }
    }

    @Test
    void eachDirectionEndsByItself() throws Exception {
        try (Arena arena = Arena.ofShared();
                Fd client = UnixSocket.connect(path);
                Fd server = accept()) {
            IoVector one = text(arena, "x");
            assertEquals(1, client.writev(one, 0, 1));
            UnixSocket.endWriting(client);

            assertEquals(1, server.readv(one, 0, 1));
            assertEquals(0, server.readv(one, 0, 1));
            assertEquals(1, server.writev(one, 0, 1));
            UnixSocket.endReading(client);
            var refused = assertThrows(ErrnoException.class, () -> server.writev(one, 0, 1));
            assertEquals(Errno.EPIPE, refused.errno());
        }
    }

    @Test
    void epollTellsOfAnEnd() throws Exception {
        try (Epoll epoll = Epoll.create();
                Fd client = UnixSocket.connect(path);
                Fd server = accept()) {
            epoll.add(server, Epoll.IN | Epoll.OUT | Epoll.END_OF_INPUT | Epoll.EDGE, 7);
            assertEquals(1, epoll.await(0));
            assertEquals(Epoll.OUT, epoll.events(0));
            assertEquals(0, epoll.await(0), "once");
            UnixSocket.endWriting(client);

            assertEquals(1, epoll.await(0));
            assertEquals(Epoll.IN | Epoll.OUT | Epoll.END_OF_INPUT, epoll.events(0));
            UnixSocket.endReading(client);
            assertEquals(1, epoll.await(0));
            assertEquals(Epoll.IN | Epoll.OUT | Epoll.END_OF_INPUT | Epoll.HANGUP, epoll.events(0));
        }
    }

    @Test
    void socketIsItsOwnersOnly() throws Exception {
        assertEquals(
                "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(path)));
    }

    @Test
    void pathsThatDoNotDoAreRefused() throws Exception {
        var taken = assertThrows(ErrnoException.class, () -> UnixSocket.listen(path));
        assertEquals(Errno.EADDRINUSE, taken.errno());
        Path absent = directory.resolve("absent");
        var missing = assertThrows(ErrnoException.class, () -> UnixSocket.connect(absent));
        assertEquals(Errno.ENOENT, missing.errno());
        Path tooLong = directory.resolve("x".repeat(UnixSocket.MAX_PATH));
        var unnameable = assertThrows(ErrnoException.class, () -> UnixSocket.listen(tooLong));
        assertEquals(Errno.ENAMETOOLONG, unnameable.errno());
        listener.close();
        var dead = assertThrows(ErrnoException.class, () -> UnixSocket.connect(path));
        assertEquals(Errno.ECONNREFUSED, dead.errno());
    }

    @Test
    void connectionsWithoutEndAreTaken() throws Exception {
        try (Fd first = UnixSocket.connect(path);
                Fd second = UnixSocket.connect(path);
                Fd one = accept();
                Fd other = accept()) {
            assertNull(UnixSocket.accept(listener));
            assertEquals(path.toString(), one.name());
            assertTrue(first.number() != second.number() && one.number() != other.number());
        }
    }
}
