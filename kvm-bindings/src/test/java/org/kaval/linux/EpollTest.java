package org.kaval.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EpollTest {
    private static final int FOR_EVER = -1;

    /// What fits into the result of one wait.
    private static final int CAPACITY = 64;

    private final List<AutoCloseable> open = new ArrayList<>();
    private Epoll epoll;
    private EventFd event;

    EpollTest() throws ErrnoException {
        epoll = Epoll.create();
        event = EventFd.create("event");
    }

    @BeforeEach
    void own() {
        open.addAll(List.of(epoll, event));
    }

    @AfterEach
    void close() throws Exception {
        for (AutoCloseable each : open) {
            each.close();
        }
    }

    private EventFd another() throws ErrnoException {
        EventFd created = EventFd.create("another");
        open.add(created);
        return created;
    }

    @Test
    void tokenAndEventsComeBack() throws Exception {
        epoll.add(event.fd(), Epoll.IN, 0xfedc_ba98_7654_3210L);
        event.signal();
        assertEquals(1, epoll.await(FOR_EVER));
        assertEquals(0xfedc_ba98_7654_3210L, epoll.token(0));
        assertEquals(Epoll.IN, epoll.events(0));
    }

    @Test
    void nothingReadyIsZeroAfterTheTime() throws Exception {
        epoll.add(event.fd(), Epoll.IN, 1);
        assertEquals(0, epoll.await(0));
        assertEquals(0, epoll.await(1));
    }

    @Test
    void severalAreReadyAtOnce() throws Exception {
        EventFd second = another();
        EventFd third = another();
        epoll.add(event.fd(), Epoll.IN, 1);
        epoll.add(second.fd(), Epoll.IN, 2);
        epoll.add(third.fd(), Epoll.IN | Epoll.OUT, 3);
        event.signal();
        int ready = epoll.await(FOR_EVER);
        assertEquals(Set.of(1L, 3L), tokens(ready)); // the third has room to write
        third.signal();
        assertEquals(Set.of(1L, 3L), tokens(epoll.await(FOR_EVER)));
        second.signal();
        assertEquals(Set.of(1L, 2L, 3L), tokens(epoll.await(FOR_EVER)));
    }

    @Test
    void moreThanFitAreNotLost() throws Exception {
        for (long token = 0; token < CAPACITY + 10; token++) {
            EventFd created = another();
            epoll.add(created.fd(), Epoll.IN, token);
            created.signal();
        }
        assertEquals(CAPACITY, epoll.await(FOR_EVER));
        Set<Long> seen = tokens(CAPACITY);
        seen.addAll(tokens(epoll.await(FOR_EVER))); // the kernel goes round among the ready ones
        assertEquals(LongStream.range(0, CAPACITY + 10).boxed().collect(Collectors.toSet()), seen);
    }

    @Test
    void readinessStaysUntilDrained() throws Exception {
        epoll.add(event.fd(), Epoll.IN, 1);
        event.signal();
        assertEquals(1, epoll.await(FOR_EVER));
        assertEquals(1, epoll.await(FOR_EVER));
        event.drain();
        assertEquals(0, epoll.await(0));
    }

    @Test
    void modifiedWatchHasNewEventsAndToken() throws Exception {
        epoll.add(event.fd(), Epoll.IN, 1);
        epoll.modify(event.fd(), Epoll.OUT, 2);
        assertEquals(1, epoll.await(FOR_EVER));
        assertEquals(2, epoll.token(0));
        assertEquals(Epoll.OUT, epoll.events(0));
    }

    @Test
    void removedIsNotReported() throws Exception {
        epoll.add(event.fd(), Epoll.IN, 1);
        event.signal();
        epoll.remove(event.fd());
        assertEquals(0, epoll.await(0));
    }

    @Test
    void closedOtherSideIsReportedUnasked(@TempDir Path directory) throws Exception {
        Path fifo = directory.resolve("fifo");
        assertEquals(0, new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor());
        Fd writer = Fd.open(fifo, Fd.Access.READ_WRITE); // only so does opening not block
        try (Fd reader = Fd.open(fifo, Fd.Access.READ)) {
            epoll.add(reader, Epoll.IN, 1);
            assertEquals(0, epoll.await(0));
            writer.close();
            assertEquals(1, epoll.await(FOR_EVER));
            assertEquals(Epoll.HANGUP, epoll.events(0));
        }
    }

    @Test
    void regularFileIsRefused(@TempDir Path directory) throws Exception {
        Path file = Files.createFile(directory.resolve("file"));
        try (Fd fd = Fd.open(file, Fd.Access.READ)) {
            var refused = assertThrows(ErrnoException.class, () -> epoll.add(fd, Epoll.IN, 1));
            assertEquals("epoll_ctl on %s: EPERM".formatted(file), refused.getMessage());
            assertEquals(Errno.EPERM, refused.errno());
        }
    }

    @Test
    void watchingTwiceIsRefused() throws Exception {
        epoll.add(event.fd(), Epoll.IN, 1);
        var refused = assertThrows(ErrnoException.class, () -> epoll.add(event.fd(), Epoll.IN, 2));
        assertEquals("epoll_ctl on event: EEXIST", refused.getMessage());
    }

    @Test
    void unknownCannotBeModifiedOrRemoved() {
        assertEquals(
                Errno.ENOENT,
                assertThrows(ErrnoException.class, () -> epoll.modify(event.fd(), Epoll.IN, 1))
                        .errno());
        assertEquals(
                Errno.ENOENT,
                assertThrows(ErrnoException.class, () -> epoll.remove(event.fd())).errno());
    }

    @Test
    void closedIsRefused() {
        epoll.close();
        epoll.close();
        var closed = assertThrows(IllegalStateException.class, () -> epoll.await(0));
        assertEquals("epoll is closed", closed.getMessage());
    }

    private Set<Long> tokens(int count) {
        return IntStream.range(0, count).mapToObj(epoll::token).collect(Collectors.toSet());
    }
}
