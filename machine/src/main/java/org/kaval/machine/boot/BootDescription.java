package org.kaval.machine.boot;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// What is booted, for a diagnosis.
///
/// @param kernel the file of an operating system's kernel; null if it is none
/// @param commandLine what the kernel is told; null if there is no kernel
/// @param compressed whether the kernel decompresses itself in the guest, where it may also move
///   itself to a random address (KASLR)
public record BootDescription(
        @Nullable Path kernel, @Nullable String commandLine, boolean compressed) {
    /// No operating system, or an unknown one.
    public static final BootDescription NONE = new BootDescription(null, null, false);

    /// Whether the kernel may run at another address than it was linked for.
    public boolean relocates() {
        return compressed && !says("nokaslr");
    }

    /// Whether a word of the command line begins with `prefix`.
    public boolean says(String prefix) {
        if (commandLine != null) {
            for (String word : commandLine.split("\\s+", -1)) {
                if (word.startsWith(prefix)) {
                    return true;
                }
            }
        }
        return false;
    }
}
