package org.kaval.cli;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.kaval.cli.control.VmFolder;
import org.kaval.cli.control.VmRecord;
import org.kaval.machine.ConfigException;

/// Starts `kaval run` once more, in the background, and waits until its guest runs.
final class Detached {
    static final Set<String> DETACH = Set.of("-d", "--detach");
    private static final int POLL_MILLIS = 5;

    private Detached() {}

    /// Prints what the other process has to say if it ends.
    ///
    /// @param arguments all of this process's
    /// @return 0 once the guest runs, or else the status with which the other one has ended
    static int run(String name, List<String> arguments) throws IOException, InterruptedException {
        VmFolder folder = VmFolder.of(name);
        if (folder.isAlive()) {
            throw new ConfigException("name", "a machine called '%s' is running".formatted(name));
        }
        folder.make();
        Files.write(folder.errors(), new byte[0]);
        try (InputStream said = Files.newInputStream(folder.errors())) { // also once it is gone
            Process process = start(arguments, folder.errors());
            while (process.isAlive()) {
                if (runs(folder, process)) {
                    return ExitStatus.OK;
                }
                Thread.sleep(POLL_MILLIS);
            }
            if (runs(folder, process)) {
                return ExitStatus.OK; // and has ended since
            }
            said.transferTo(System.err);
            if (folder.read().isEmpty()) {
                folder.remove(); // it has not come so far as to have the name
            }
            return process.exitValue();
        }
    }

    private static boolean runs(VmFolder folder, Process process) throws IOException {
        Optional<VmRecord> record = folder.read();
        return record.isPresent()
                && record.get().process() == process.pid()
                && record.get().running();
    }

    /// A session of its own (setsid(1) of util-linux, which every Debian has): no terminal's end
    /// ends it.
    private static Process start(List<String> arguments, Path errors) throws IOException {
        var command = new ArrayList<String>();
        command.add("setsid");
        command.add(Path.of(System.getProperty("java.home"), "bin/kaval").toString());
        for (String argument : arguments) {
            if (!DETACH.contains(argument)) {
                command.add(argument);
            }
        }
        command.add(NameOptions.BACKGROUND);
        var nothing = new File("/dev/null");
        return new ProcessBuilder(command)
                .redirectInput(nothing)
                .redirectOutput(nothing)
                .redirectError(errors.toFile())
                .start();
    }
}
