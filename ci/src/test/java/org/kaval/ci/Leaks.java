package org.kaval.ci;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/// What this process holds of the host, from `/proc/self`.
///
/// @param descriptors open files
/// @param kvmMappings memory shared with KVM
/// @param threads of the kind that machines have
record Leaks(List<String> descriptors, long kvmMappings, List<String> threads) {
    static Leaks now() throws IOException {
        return new Leaks(openDescriptors(), countMappings(), machineThreads());
    }

    private static List<String> openDescriptors() throws IOException {
        try (Stream<Path> links = Files.list(Path.of("/proc/self/fd"))) {
            return links.map(Leaks::target)
                    .filter(target -> target.contains("kvm") || target.startsWith("anon_inode:"))
                    .sorted()
                    .toList();
        }
    }

    private static String target(Path link) {
        try {
            return Files.readSymbolicLink(link).toString();
        } catch (IOException e) {
            return "gone"; // the descriptor of the listing itself
        }
    }

    private static long countMappings() throws IOException {
        try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
            return maps.filter(line -> line.contains("kvm")).count();
        }
    }

    private static List<String> machineThreads() {
        return Thread.getAllStackTraces().keySet().stream()
                .map(Thread::getName)
                .filter(name ->
                        name.startsWith("vcpu-")
                                || name.startsWith("serial")
                                || name.equals("event-loop"))
                .sorted()
                .toList();
    }
}
