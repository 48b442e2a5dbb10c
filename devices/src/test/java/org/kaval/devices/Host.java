package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;

/// What tests of this module ask of the host: to wait for something, to count what a thread
/// allocates, to make a pipe.
public final class Host {
    /// Long enough that only a hang takes it.
    public static final Duration LIMIT = Duration.ofSeconds(30);

    /// `com.sun.management.ThreadMXBean.getCurrentThreadAllocatedBytes`, found by name: the module
    /// under test does not read the module that has it.
    private static final MethodHandle ALLOCATED =
            findAllocationCounter(
                    "getCurrentThreadAllocatedBytes", MethodType.methodType(long.class));

    private static final MethodHandle ALLOCATED_BY =
            findAllocationCounter(
                    "getThreadAllocatedBytes", MethodType.methodType(long.class, long.class));

    /// A clock tick of `/proc` in milliseconds (proc_pid_stat(5), `sysconf(_SC_CLK_TCK)`).
    private static final long TICK_MILLIS = 10;

    private Host() {}

    /// Returns once `condition` holds; fails after {@link #LIMIT}.
    public static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + LIMIT.toNanos();
        while (!condition.call()) {
            assertTrue(System.nanoTime() < end, what);
            Thread.sleep(1);
        }
    }

    /// How many bytes this thread allocates in 100,000 rounds of `action`, once it is compiled: the
    /// least of several tries, since what happens once is no cost of a round.
    public static long allocatedBytes(Runnable action) {
        repeat(action);
        long least = Long.MAX_VALUE;
        for (int i = 0; i < 3; i++) {
            long before = allocatedBytes();
            repeat(action);
            least = Math.min(least, allocatedBytes() - before);
        }
        return least;
    }

    private static void repeat(Runnable action) {
        for (int i = 0; i < 100_000; i++) {
            action.run();
        }
    }

    private static long allocatedBytes() {
        try {
            return (long) ALLOCATED.invokeExact();
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    /// How many bytes `thread` has allocated in all.
    public static long allocatedBy(Thread thread) {
        try {
            return (long) ALLOCATED_BY.invokeExact(thread.threadId());
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    private static MethodHandle findAllocationCounter(String name, MethodType type) {
        try {
            Class<?> factory = Class.forName("java.lang.management.ManagementFactory");
            Class<?> standard = Class.forName("java.lang.management.ThreadMXBean");
            Class<?> extended = Class.forName("com.sun.management.ThreadMXBean");
            MethodHandles.Lookup lookup = MethodHandles.publicLookup();
            Object threads =
                    lookup.findStatic(factory, "getThreadMXBean", MethodType.methodType(standard))
                            .invoke();
            return lookup.findVirtual(extended, name, type).bindTo(threads);
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    /// How many system calls like read(2) this process has made (proc_pid_io(5)).
    public static long readCalls() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/io"))) {
            return lines.filter(line -> line.startsWith("syscr: "))
                    .mapToLong(line -> Long.parseLong(line.substring("syscr: ".length())))
                    .sum();
        }
    }

    /// How long the only thread of that name, 15 letters at most, has had a processor.
    public static Duration processorTime(String threadName) throws IOException {
        try (Stream<Path> tasks = Files.list(Path.of("/proc/self/task"))) {
            Path task =
                    tasks.filter(path -> text(path.resolve("comm")).strip().equals(threadName))
                            .findFirst()
                            .orElseThrow();
            // what follows the name in parentheses: state is field 3, utime and stime 14 and 15
            String stat = text(task.resolve("stat"));
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
            return Duration.ofMillis(
                    TICK_MILLIS * (Long.parseLong(fields[11]) + Long.parseLong(fields[12])));
        }
    }

    private static String text(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            return ""; // the thread has ended since it was listed
        }
    }

    /// Whether a thread of that name is alive.
    public static boolean hasThread(String name) {
        return Thread.getAllStackTraces().keySet().stream()
                .anyMatch(thread -> thread.getName().equals(name));
    }

    /// A pipe with a descriptor of our own at its reading end.
    public record Pipe(Fd source, OutputStream sink) implements AutoCloseable {
        /// Makes one in `directory` (mkfifo(1)).
        public static Pipe in(Path directory) throws Exception {
            Path path = Files.createTempFile(directory, "pipe", "");
            Files.delete(path);
            Process mkfifo = new ProcessBuilder("mkfifo", path.toString()).start();
            assertTrue(mkfifo.waitFor() == 0, "mkfifo");
            // opening one end waits for the other
            CompletableFuture<Fd> source = CompletableFuture.supplyAsync(() -> open(path));
            OutputStream sink = Files.newOutputStream(path);
            return new Pipe(source.get(LIMIT.toSeconds(), TimeUnit.SECONDS), sink);
        }

        private static Fd open(Path path) {
            try {
                return Fd.open(path, Fd.Access.READ);
            } catch (ErrnoException e) {
                throw new AssertionError(e);
            }
        }

        @Override
        public void close() throws IOException {
            source.close();
            sink.close();
        }
    }
}
