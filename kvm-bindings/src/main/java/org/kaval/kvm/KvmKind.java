package org.kaval.kvm;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/// What is behind `/dev/kvm`, which decides what can run there.
public enum KvmKind {
    /// Intel VT-x: runs everything.
    VT_X,
    /// AMD-V: runs everything.
    AMD_V,
    /// Page tables and instruction emulation, without help from the processor: runs the whole KVM
    /// API and small payloads, no unmodified 64-bit kernel.
    PVM,
    /// No module that this program knows.
    UNKNOWN;

    /// What this host has.
    public static KvmKind detect() throws IOException {
        return detect(Path.of("/"));
    }

    /// @param root of the file system with `proc` and `sys`
    static KvmKind detect(Path root) throws IOException {
        if (Files.exists(root.resolve("sys/module/kvm_pvm"))) {
            return PVM;
        }
        List<String> flags = flags(root);
        if (flags.contains("vmx")) {
            return VT_X;
        }
        return flags.contains("svm") ? AMD_V : UNKNOWN;
    }

    /// Whether an unmodified operating system can run.
    public boolean isHardware() {
        return this == VT_X || this == AMD_V;
    }

    private static List<String> flags(Path root) throws IOException {
        try (Stream<String> lines = Files.lines(root.resolve("proc/cpuinfo"))) {
            return lines.filter(line -> line.startsWith("flags"))
                    .findFirst()
                    .map(line ->
                            List.of(line.substring(line.indexOf(':') + 1).strip().split(" ", -1)))
                    .orElse(List.of());
        }
    }
}
