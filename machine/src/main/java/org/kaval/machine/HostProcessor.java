package org.kaval.machine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/// What the host says of its processor (`/proc/cpuinfo`).
final class HostProcessor {
    private HostProcessor() {}

    /// Its name, as the vendor puts it; empty if the kernel does not say.
    static String brand() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
            return lines.filter(line -> line.startsWith("model name"))
                    .findFirst()
                    .map(line -> line.substring(line.indexOf(':') + 1).strip())
                    .orElse("");
        }
    }
}
