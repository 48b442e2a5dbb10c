package org.kaval.ci;

import java.io.File;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.kaval.testing.FileMaker;

/// Compiles `src/test/guest/*.c`: flat 64-bit code for `kaval run --payload`, too long to be
/// written in machine code.
public final class CompiledPayloads implements FileMaker {
    public static final String FOLDER = "target/guests/payloads";

    private static final String SOURCES = "src/test/guest";

    private static final List<String> COMPILER =
            List.of(
                    "gcc",
                    "-Wall",
                    "-Werror",
                    "-O2",
                    "-ffreestanding",
                    "-fno-pic",
                    "-fno-toplevel-reorder",
                    "-fno-asynchronous-unwind-tables",
                    "-fno-stack-protector",
                    "-fcf-protection=none",
                    "-mgeneral-regs-only",
                    "-mno-red-zone",
                    "-static",
                    "-no-pie",
                    "-nostdlib",
                    "-Wl,--build-id=none,--fatal-warnings,--oformat=binary,-Ttext=0x100000,-estart");

    /// For {@link org.kaval.testing.NeedsFiles}.
    public CompiledPayloads() {}

    /// The payload that `name.c` is compiled to.
    public static Path file(String name) {
        return Path.of(System.getProperty("basedir", ""), FOLDER, name).toAbsolutePath();
    }

    /// Starts `kaval run` with the payload of `name.c` and a disk.
    ///
    /// @param options where the disk is: on the PCI bus, but for `--mmio`
    static RunningCommand start(String name, Path disk, String... options) throws IOException {
        var arguments = new ArrayList<>(List.of("run", "--payload", file(name).toString()));
        arguments.addAll(List.of("--memory", "64M", "--disk", disk.toString()));
        arguments.addAll(List.of(options));
        return RunningCommand.start(new File("/dev/null"), arguments.toArray(String[]::new));
    }

    @Override
    public void make(Path module) throws IOException, InterruptedException {
        Path folder = Files.createDirectories(module.resolve(FOLDER));
        try (DirectoryStream<Path> sources =
                Files.newDirectoryStream(module.resolve(SOURCES), "*.c")) {
            for (Path source : sources) {
                String name = source.getFileName().toString().replaceFirst("\\.c$", "");
                var command = new ArrayList<>(COMPILER);
                command.addAll(List.of("-o", folder.resolve(name).toString(), source.toString()));
                Processes.Result compiled = Processes.run(command.toArray(String[]::new));
                if (compiled.status() != 0) {
                    throw new IOException("gcc failed on " + source + ":\n" + compiled.err());
                }
            }
        }
    }
}
