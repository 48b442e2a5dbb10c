package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// What tests of this module ask of the host: whether there is KVM, and what machines have taken.
final class Host {
    /// Long enough that only a hang takes it.
    static final Duration LIMIT = Duration.ofMinutes(4);

    private static final Pattern THREAD = Pattern.compile("vcpu-\\d+|serial0-out|event-loop");
    private static final Pattern DESCRIPTOR =
            Pattern.compile("/dev/kvm|anon_inode:.*|/memfd:guest memory.*");

    private Host() {}

    /// Returns once `condition` holds; fails after {@link #LIMIT}.
    static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + LIMIT.toNanos();
        while (!condition.call()) {
            assertTrue(System.nanoTime() < end, what);
            Thread.sleep(1);
        }
    }

    /// What the machines of this process have.
    ///
    /// @param threads by name
    /// @param descriptors what they point to
    /// @param mappings of vCPUs and of guest memory that has a name
    record Resources(List<String> threads, List<String> descriptors, long mappings) {
        static Resources now() throws IOException {
            return new Resources(threadNames(), openDescriptors(), countMappings());
        }

        /// Fails unless what there is now soon is what there was then.
        void awaitAgain() throws Exception {
            until("left: " + now() + " instead of " + this, () -> now().equals(this));
        }

        private static List<String> openDescriptors() throws IOException {
            try (Stream<Path> entries = Files.list(Path.of("/proc/self/fd"))) {
                return entries.flatMap(Resources::target)
                        .filter(target -> DESCRIPTOR.matcher(target).matches())
                        .sorted()
                        .toList();
            }
        }

        private static Stream<String> target(Path descriptor) {
            try {
                return Stream.of(Files.readSymbolicLink(descriptor).toString());
            } catch (IOException e) {
                return Stream.empty(); // closed since it was listed
            }
        }

        private static long countMappings() throws IOException {
            try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"))) {
                return lines.filter(
                                line -> line.contains("kvm-vcpu") || line.contains("guest memory"))
                        .count();
            }
        }
    }

    /// The names of the threads that machines have, sorted.
    static List<String> threadNames() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(Thread::isAlive)
                .map(Thread::getName)
                .filter(name -> THREAD.matcher(name).matches())
                .sorted()
                .toList();
    }
}
