package org.kaval.guests;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/// A lock file, against other threads and other processes. It has two locks: the exclusive one of
/// who reads or changes what the file guards, and a shared one, kept by every process that uses it.
/// Both vanish with their process, however that ends.
///
/// The exclusive one is always taken first. Any thread.
final class CacheLock {
    private static final long EXCLUSIVE = 0, USE = 1; // bytes of the file that stand for the locks
    private static final long POLL_MILLIS = 20;

    // POSIX locks belong to the process, and closing any descriptor of a file drops all that the
    // process has on it (fcntl(2)): so a file is opened once in a JVM, and never closed.
    private static final Map<Path, CacheLock> OPEN = new HashMap<>();

    private final ReentrantLock threads = new ReentrantLock();
    private final FileChannel channel;
    private @Nullable FileLock use; // guarded by threads

    private CacheLock(FileChannel channel) {
        this.channel = channel;
    }

    /// The lock of `file`, which is made if it is missing.
    ///
    /// @param file in a directory whose path has no symbolic link
    static CacheLock of(Path file) throws IOException {
        synchronized (OPEN) {
            CacheLock lock = OPEN.get(file);
            if (lock == null) {
                lock = new CacheLock(open(file));
                OPEN.put(file, lock);
            }
            return lock;
        }
    }

    /// Runs `action` if no live process, this one included, has the lock or uses what it guards.
    ///
    /// @return whether it ran
    static boolean ifUnused(Path file, Action action) throws IOException {
        synchronized (OPEN) { // so that no thread of this JVM opens the file meanwhile
            if (OPEN.containsKey(file)) {
                return false;
            }
            try (FileChannel channel = open(file);
                    FileLock exclusive = tryLock(channel, EXCLUSIVE, false);
                    FileLock use = tryLock(channel, USE, false)) {
                boolean unused = exclusive != null && use != null;
                if (unused) {
                    action.run();
                }
                return unused;
            }
        }
    }

    /// Waits until this thread has the exclusive lock.
    ///
    /// @throws IllegalStateException if it has it already
    Held acquire() throws IOException, InterruptedException {
        if (threads.isHeldByCurrentThread()) {
            throw new IllegalStateException("a cache entry's builder asks for that entry");
        }
        threads.lockInterruptibly();
        try {
            // Not lock(): a thread interrupted in it closes the channel, and with it the use lock.
            FileLock exclusive = tryLock(channel, EXCLUSIVE, false);
            while (exclusive == null) {
                Thread.sleep(POLL_MILLIS);
                exclusive = tryLock(channel, EXCLUSIVE, false);
            }
            return new Held(this, exclusive);
        } catch (IOException | InterruptedException | RuntimeException | Error e) {
            threads.unlock();
            throw e;
        }
    }

    private static FileChannel open(Path file) throws IOException {
        return FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
    }

    private static @Nullable FileLock tryLock(FileChannel channel, long at, boolean shared)
            throws IOException {
        try {
            return channel.tryLock(at, 1, shared);
        } catch (OverlappingFileLockException e) {
            return null; // this class in another class loader of this JVM has it
        }
    }

    /// What may throw an IOException.
    interface Action {
        void run() throws IOException;
    }

    /// The exclusive lock, had until it is closed; of one thread.
    record Held(CacheLock lock, FileLock exclusive) implements AutoCloseable {
        /// From now on and until it ends, this process uses what the lock guards.
        void use() throws IOException {
            if (lock.use == null) {
                // Nobody has it exclusively, as that takes the other lock too. If it is refused,
                // another class loader of this JVM has it, to the same effect.
                lock.use = tryLock(lock.channel, USE, true);
            }
        }

        @Override
        public void close() throws IOException {
            try {
                exclusive.release();
            } finally {
                lock.threads.unlock();
            }
        }
    }
}
