package org.kaval.devices.net;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.linux.Fd;
import org.kaval.linux.FileLock;
import org.kaval.linux.UnixSocket;

class SocketBackendTest {
    /// Without a lock, some of them go wrong.
    private static final int ROUNDS = 200;

    @TempDir private Path directory;

    @Test
    void folderThatSomebodyKeepsLockedIsUsed() throws Exception {
        Path path = directory.resolve("cable");
        try (Fd folder = Fd.open(directory, Fd.Access.READ)) {
            assertTrue(FileLock.await(folder, Duration.ZERO));
            try (SocketBackend first = SocketBackend.open(path, Duration.ofMillis(10));
                    SocketBackend second = SocketBackend.open(path, Duration.ofMillis(10))) {
                assertTrue(areJoined(first, second));
            }
        }
    }

    @Test
    void twoThatComeAtOnceAreJoined() throws Exception {
        var barrier = new CyclicBarrier(2);
        Path path = directory.resolve("cable");
        Callable<SocketBackend> open =
                () -> {
                    barrier.await();
                    return SocketBackend.open(path);
                };
        try (var two = Executors.newFixedThreadPool(2)) {
            for (int i = 0; i < ROUNDS; i++) {
                UnixSocket.listen(path).close(); // as one leaves it that is killed
                Future<SocketBackend> one = two.submit(open);
                Future<SocketBackend> other = two.submit(open);
                try (SocketBackend first = one.get();
                        SocketBackend second = other.get()) {
                    assertTrue(areJoined(first, second), "round " + i);
                }
            }
        }
    }

    /// One listens, and the other is connected.
    private static boolean areJoined(SocketBackend first, SocketBackend second) {
        return (first.listener() == null) != (second.listener() == null);
    }
}
