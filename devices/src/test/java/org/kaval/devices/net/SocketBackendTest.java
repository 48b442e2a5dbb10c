package org.kaval.devices.net;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.linux.UnixSocket;

class SocketBackendTest {
    /// Without a lock, some of them go wrong.
    private static final int ROUNDS = 200;

    @TempDir private Path directory;

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
                    assertTrue(
                            (first.listener() == null) != (second.listener() == null),
                            "one listens, and the other is connected: round " + i);
                }
            }
        }
    }
}
