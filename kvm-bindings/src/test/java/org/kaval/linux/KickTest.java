package org.kaval.linux;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KickTest {
    @Test
    void handlerIsOurs() {
        assertDoesNotThrow(Kick::requireHandler);
    }

    @Test
    void waitOfAnotherThreadReturns() throws Exception {
        var ready = new AtomicInteger(-1);
        Host.kickUntilDone(() -> {
            try (Epoll epoll = Epoll.create()) {
                ready.set(epoll.await(-1)); // watches nothing: only a signal ends it
            }
        });
        assertEquals(0, ready.get());
    }

    /// glibc's `signal` asks for `SA_RESTART`; waiting calls return all the same, `KVM_RUN` and
    /// epoll_wait(2) among them (signal(7)), and reads go on.
    @Test
    void blockingReadGoesOn(@TempDir Path directory) throws Exception {
        Path fifo = directory.resolve("fifo");
        assertEquals(0, new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor());
        var id = new AtomicInteger();
        var result = new AtomicInteger();
        try (Fd fd = Fd.open(fifo, Fd.Access.READ_WRITE)) { // so that opening does not block
            Thread reader =
                    Thread.ofPlatform()
                            .daemon()
                            .start(() -> {
                                id.set(Kick.currentThreadId());
                                result.set(read(fd));
                            });
            Host.until("thread has published its id", () -> id.get() != 0);
            for (int i = 0; i < 20; i++) {
                Kick.send(id.get());
                Thread.sleep(1);
            }
            Files.write(fifo, new byte[1]);
            assertTrue(reader.join(Host.LIMIT));
        }
        assertEquals(1, result.get());
    }

    @Test
    void threadThatHasEndedIsIgnored() throws Exception {
        var id = new AtomicInteger();
        Thread.ofPlatform().start(() -> id.set(Kick.currentThreadId())).join();
        Path task = Path.of("/proc/self/task/" + id.get());
        Host.until("thread is gone from the kernel", () -> !Files.exists(task));
        assertDoesNotThrow(() -> Kick.send(id.get()));
    }

    @Test
    void idIsTheKernels() {
        assertTrue(Files.exists(Path.of("/proc/self/task/" + Kick.currentThreadId())));
    }

    @Test
    void kickOfARunningThreadHarmsNothing() {
        assertDoesNotThrow(() -> Kick.send(Kick.currentThreadId()));
    }

    private static int read(Fd fd) {
        try {
            return fd.read(new byte[1]);
        } catch (ErrnoException e) {
            throw new UncheckedIOException(e);
        }
    }
}
