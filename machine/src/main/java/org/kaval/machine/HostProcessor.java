package org.kaval.machine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// What the host says of its processor (`/proc/cpuinfo`). Any thread.
final class HostProcessor {
    private static @Nullable String brand; // guarded by the class; null until it is asked for

    private HostProcessor() {}

    /// Its name, as the vendor puts it; empty if the kernel does not say. Read once.
    static synchronized String brand() throws IOException {
        String known = brand;
        if (known == null) {
            known = read();
            brand = known;
        }
        return known;
    }

    private static String read() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
            return lines.filter(line -> line.startsWith("model name"))
                    .findFirst()
                    .map(line -> line.substring(line.indexOf(':') + 1).strip())
                    .orElse("");
        }
    }
}
