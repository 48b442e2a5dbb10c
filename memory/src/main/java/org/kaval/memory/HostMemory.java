package org.kaval.memory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// What the host has (`/proc/meminfo`, proc(5)).
///
/// @param total RAM in bytes
/// @param swap in bytes
/// @param hugePageSize of the default huge page, in bytes; 0 if the kernel has none
/// @param freeHugePages pages in the pool that nobody has reserved
public record HostMemory(long total, long swap, long hugePageSize, long freeHugePages) {
    private static final long KIBIBYTE = 1024;

    /// What it has now.
    public static HostMemory read() throws IOException {
        return read(Path.of("/proc/meminfo"));
    }

    static HostMemory read(Path meminfo) throws IOException {
        List<String> lines = Files.readAllLines(meminfo); // once: the kernel counts for each reader
        return new HostMemory(
                value(lines, "MemTotal") * KIBIBYTE,
                value(lines, "SwapTotal") * KIBIBYTE,
                value(lines, "Hugepagesize") * KIBIBYTE,
                value(lines, "HugePages_Free") - value(lines, "HugePages_Rsvd"));
    }

    private static long value(List<String> lines, String key) {
        return lines.stream()
                .filter(line -> line.startsWith(key + ":"))
                .mapToLong(line -> parse(line.substring(key.length() + 1)))
                .findFirst()
                .orElse(0);
    }

    private static long parse(String value) {
        return Long.parseLong(value.replace("kB", "").strip());
    }
}
