package org.kaval.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SocketPathTest {
    /// Without a lock, both of them listen in some.
    private static final int ROUNDS = 200;

    @TempDir private Path directory;

    @Test
    void oneOfTwoThatComeAtOnceListens() throws Exception {
        var barrier = new CyclicBarrier(2);
        Path path = directory.resolve("socket");
        Callable<Fd> listen =
                () -> {
                    barrier.await();
                    return SocketPath.listen(path);
                };
        try (var two = Executors.newFixedThreadPool(2)) {
            for (int i = 0; i < ROUNDS; i++) {
                UnixSocket.listen(path).close(); // as one leaves it that is killed
                List<Future<Fd>> both = List.of(two.submit(listen), two.submit(listen));
                var listeners = new ArrayList<Fd>();
                var refused = new ArrayList<String>();
                for (Future<Fd> one : both) {
                    try {
                        listeners.add(one.get());
                    } catch (ExecutionException e) {
                        refused.add(String.valueOf(e.getCause()));
                    }
                }
                assertEquals(1, listeners.size(), "round " + i);
                assertEquals(
                        List.of(
                                new FileAlreadyExistsException(path.toString(), null, "is in use")
                                        .toString()),
                        refused);
                listeners.getFirst().close();
                Files.delete(path);
            }
        }
    }

    @Test
    void whatIsNoSocketStays() throws Exception {
        Path file = Files.createFile(directory.resolve("file"));

        var refused = assertThrows(FileAlreadyExistsException.class, () -> SocketPath.listen(file));

        assertEquals(file + ": is there, and no socket", refused.getMessage());
    }

    @Test
    void oneWhomTooManyWaitForIsThere() throws Exception {
        Path path = directory.resolve("socket");
        var waiting = new ArrayList<Fd>();
        try (var server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(path), 1);
            var full =
                    assertThrows(
                            ErrnoException.class,
                            () -> {
                                while (true) {
                                    waiting.add(UnixSocket.connect(path));
                                }
                            });
            assertEquals(Errno.EAGAIN, full.errno());

            var refused =
                    assertThrows(FileAlreadyExistsException.class, () -> SocketPath.listen(path));

            assertEquals(path + ": is in use", refused.getMessage());
        } finally {
            waiting.forEach(Fd::close);
        }
    }
}
