package org.kaval.devices.net;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.linux.Fd;
import org.kaval.linux.FileLock;
import org.kaval.linux.IoVector;
import org.kaval.linux.UnixSocket;

@Timeout(60)
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

    @Test
    void oneThatWasConnectedFindsTheNextThatListens() throws Exception {
        Path path = directory.resolve("cable");
        SocketBackend first = SocketBackend.open(path);
        try (SocketBackend second = SocketBackend.open(path)) {
            var links = new ArrayList<Boolean>();
            second.onLink(links::add);
            first.close();
            awaitFrame(second, () -> second.queue(0).output() == null);
            UnixSocket.listen(path).close(); // as one leaves it that is killed
            try (SocketBackend third = SocketBackend.open(path)) {
                awaitFrame(second, () -> second.queue(0).output() != null);
                awaitFrame(third, () -> third.queue(0).output() != null);
                third.queue(0).send(frame(60));
                assertEquals(60, awaitFrame(second, () -> false));
                second.queue(0).send(frame(61));
                assertEquals(61, awaitFrame(third, () -> false));
                assertEquals(List.of(true, false, true), links);
            }
            awaitFrame(second, () -> second.queue(0).output() == null);
        }
        assertFalse(Files.exists(path));
    }

    @Test
    void oneThatWasConnectedComesAgainToWhoStillListens() throws Exception {
        Path path = directory.resolve("cable");
        try (Fd listener = UnixSocket.listen(path)) {
            try (SocketBackend backend = SocketBackend.open(path)) {
                NetQueue queue = backend.queue(0);
                for (int i = 0; i < 2; i++) {
                    accept(listener).close();
                    awaitFrame(backend, () -> queue.output() == null);
                    awaitFrame(backend, () -> queue.output() != null);
                }
                try (Fd connection = accept(listener)) {
                    connection.writev(
                            IoVector.of(MemorySegment.ofBuffer(direct(0, 0, 0, 1, 9))), 0, 5);
                    assertEquals(1, awaitFrame(backend, () -> false));
                }
            }
            assertTrue(Files.exists(path));
        }
    }

    private static Fd accept(Fd listener) throws Exception {
        Fd accepted = UnixSocket.accept(listener);
        while (accepted == null) {
            Thread.sleep(1);
            accepted = UnixSocket.accept(listener);
        }
        return accepted;
    }

    private static ByteBuffer direct(int... bytes) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(bytes.length);
        for (int b : bytes) {
            buffer.put((byte) b);
        }
        return buffer.flip();
    }

    private static IoVector frame(int size) {
        return IoVector.of(MemorySegment.ofBuffer(ByteBuffer.allocateDirect(size)));
    }

    /// Looks for frames, as the thread of a device does.
    ///
    /// @return the size of the next; below 0 if something else was first
    private static long awaitFrame(SocketBackend backend, BooleanSupplier orElse) throws Exception {
        while (true) {
            long size = backend.queue(0).peek();
            if (size >= 0 || orElse.getAsBoolean()) {
                return size;
            }
            Thread.sleep(1);
        }
    }

    /// One listens, and the other is connected.
    private static boolean areJoined(SocketBackend first, SocketBackend second) {
        return (first.listener() == null) != (second.listener() == null);
    }
}
