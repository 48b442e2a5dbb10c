package org.kaval.ci;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.kaval.guests.CloudGuest;

/// A {@link CloudGuest} for `kaval run`.
///
/// @param folder from the module's
record CommandGuest(String folder) {
    /// Makes both.
    ///
    /// @param programs what else is in the initramfs, by path
    /// @param init what the guest does once `/proc`, `/sys`, `/dev` and the modules are there
    void make(Path module, Map<String, Path> programs, String init, String... modules)
            throws IOException, InterruptedException {
        files().make(module, programs, init, modules);
    }

    /// A file in its folder.
    Path file(String name) {
        return files().file(name);
    }

    private CloudGuest files() {
        return new CloudGuest(folder);
    }

    /// Starts it.
    ///
    /// @param words more on the kernel's command line
    RunningCommand start(File input, String words, List<String> options) throws IOException {
        return RunningCommand.start(input, arguments(words, options).toArray(String[]::new));
    }

    /// What starts it, behind `kaval`.
    ///
    /// @param words more on the kernel's command line
    List<String> arguments(String words, List<String> options) {
        return arguments("256M", words, options);
    }

    /// The same with so much memory.
    List<String> arguments(String memory, String words, List<String> options) {
        var arguments = new ArrayList<>(List.of("run", "--memory", memory));
        arguments.addAll(List.of("--kernel", files().kernel().toString()));
        arguments.addAll(List.of("--initrd", files().initrd().toString()));
        arguments.add("--cmdline");
        arguments.add("console=ttyS0 quiet panic=-1 cryptomgr.notests " + words);
        arguments.addAll(options);
        return arguments;
    }
}
