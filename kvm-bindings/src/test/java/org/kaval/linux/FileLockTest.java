package org.kaval.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.linux.FileLock.Kind.EXCLUSIVE;
import static org.kaval.linux.FileLock.Kind.SHARED;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileLockTest {
    @TempDir private Path directory = Path.of("");

    @Test
    void exclusiveLockKeepsOthersAwayUntilItIsClosed() throws Exception {
        Path file = Files.createFile(directory.resolve("file"));
        try (Fd second = Fd.open(file, Fd.Access.READ_WRITE)) {
            try (Fd first = Fd.open(file, Fd.Access.READ_WRITE)) {
                assertTrue(FileLock.tryLock(first, EXCLUSIVE, 100, 1));
                assertFalse(FileLock.tryLock(second, EXCLUSIVE, 100, 1));
                assertFalse(FileLock.tryLock(second, SHARED, 99, 2));
                assertFalse(FileLock.isFree(second, SHARED, 100, 1));
                assertTrue(FileLock.isFree(first, EXCLUSIVE, 100, 1)); // others' locks count
                assertTrue(FileLock.tryLock(second, EXCLUSIVE, 101, 1));
            }
            assertTrue(FileLock.tryLock(second, EXCLUSIVE, 100, 1));
        }
    }

    @Test
    void sharedLocksGoTogether() throws Exception {
        Path file = Files.createFile(directory.resolve("file"));
        try (Fd first = Fd.open(file, Fd.Access.READ);
                Fd second = Fd.open(file, Fd.Access.READ)) {
            assertTrue(FileLock.tryLock(first, SHARED, 0, 10));
            assertTrue(FileLock.tryLock(second, SHARED, 0, 10));
            assertTrue(FileLock.isFree(second, SHARED, 0, 10));
            assertFalse(FileLock.isFree(second, EXCLUSIVE, 0, 10));
        }
    }

    @Test
    void exclusiveLockNeedsAFileOpenForWriting() throws Exception {
        Path file = Files.createFile(directory.resolve("file"));
        try (Fd fd = Fd.open(file, Fd.Access.READ)) {
            var refused =
                    assertThrows(ErrnoException.class, () -> FileLock.tryLock(fd, EXCLUSIVE, 0, 1));
            assertEquals("F_OFD_SETLK on %s: EBADF".formatted(file), refused.getMessage());
        }
    }

    @Test
    void folderIsWaitedFor() throws Exception {
        var waiting = new FutureTask<>(this::awaitFolder);
        var waiter = new Thread(waiting);
        try (Fd first = Fd.open(directory, Fd.Access.READ)) {
            assertTrue(FileLock.await(first, Duration.ZERO));
            waiter.start();
            while (waiter.getState() != Thread.State.TIMED_WAITING) {
                assertFalse(waiting.isDone());
                Thread.onSpinWait();
            }
        }
        assertTrue(waiting.get());
    }

    private boolean awaitFolder() throws Exception {
        try (Fd second = Fd.open(directory, Fd.Access.READ)) {
            return FileLock.await(second, Duration.ofMinutes(5));
        }
    }

    @Test
    void folderIsNotWaitedForForEver() throws Exception {
        try (Fd first = Fd.open(directory, Fd.Access.READ);
                Fd second = Fd.open(directory, Fd.Access.READ)) {
            assertTrue(FileLock.await(first, Duration.ZERO));
            assertFalse(FileLock.await(second, Duration.ofMillis(10)));
        }
    }
}
