package org.kaval.linux;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

/// What tests of this module ask of the host: to wait for something, to kick a thread, to count
/// what `/proc/self` shows.
public final class Host {
    /// Long enough that only a hang takes it.
    public static final Duration LIMIT = Duration.ofSeconds(30);

    private Host() {}

    /// Returns once `condition` holds; fails after {@link #LIMIT}.
    public static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + LIMIT.toNanos();
        while (!condition.call()) {
            assertTrue(System.nanoTime() < end, what);
            Thread.sleep(1);
        }
    }

    /// Kicks the thread that `task` runs on until it has ended. A kick before the blocking call is
    /// lost, as it is for every caller, hence more than one.
    ///
    /// @param task is given where to put its thread's id before it blocks
    public static void kickUntilDone(Task task) throws Exception {
        var id = new AtomicInteger();
        var failure = new Throwable[1];
        Thread thread =
                Thread.ofPlatform()
                        .daemon()
                        .start(() -> {
                            try {
                                id.set(Kick.currentThreadId());
                                task.run();
                            } catch (Throwable e) {
                                failure[0] = e;
                            }
                        });
        until("thread has published its id", () -> id.get() != 0);
        until(
                "thread has ended",
                () -> {
                    Kick.send(id.get());
                    return thread.join(Duration.ofMillis(10));
                });
        if (failure[0] != null) {
            throw new AssertionError("on the kicked thread", failure[0]);
        }
    }

    /// What runs on a thread of its own.
    public interface Task {
        void run() throws Exception;
    }

    /// What this process's descriptors point to, as the kernel names it.
    public static List<String> descriptors() throws IOException {
        try (Stream<Path> entries = Files.list(Path.of("/proc/self/fd"))) {
            return entries.flatMap(Host::target).toList();
        }
    }

    private static Stream<String> target(Path descriptor) {
        try {
            return Stream.of(Files.readSymbolicLink(descriptor).toString());
        } catch (IOException e) {
            return Stream.empty(); // closed since it was listed
        }
    }

    /// How many of this process's mappings have `text` in their line of `/proc/self/maps`.
    public static long mappings(String text) throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"))) {
            return lines.filter(line -> line.contains(text)).count();
        }
    }
}
