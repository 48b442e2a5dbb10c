package org.kaval.guests;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// A file system of few bytes, in a mount namespace of a shell that needs no privilege, in which
/// programs can be run.
public final class SmallDisk implements AutoCloseable {
    private final Process shell;
    private final BufferedReader output;
    private final Path path;

    private SmallDisk(Process shell, Path path) {
        this.shell = shell;
        output = shell.inputReader();
        this.path = path;
    }

    /// Mounts one. A test that asks is skipped where the kernel lets no user have namespaces.
    public static SmallDisk mount(Path parent, long bytes) throws IOException {
        Path path = Files.createDirectory(parent.toRealPath().resolve("disk"));
        var disk =
                new SmallDisk(
                        new ProcessBuilder(
                                        "unshare",
                                        "--user",
                                        "--map-root-user",
                                        "--mount",
                                        "sh",
                                        "-c",
                                        "mount -t tmpfs -o size=%d tmpfs '%s' && echo mounted && exec sh"
                                                .formatted(bytes, path))
                                .redirectErrorStream(true)
                                .start(),
                        path);
        String first = disk.output.readLine();
        assumeTrue(
                "mounted".equals(first),
                () -> "no mount namespace of one's own here (unshare says: " + first + ")");
        return disk;
    }

    public Path path() {
        return path;
    }

    /// Runs `main` in a JVM that sees the disk; all that it prints.
    public List<String> run(Class<?> main, Object... arguments) throws IOException {
        return run("'" + String.join("' '", Jvm.command(main, arguments)) + "'");
    }

    /// What is in a directory of the disk, names with a dot first left out.
    public List<String> names(String directory) throws IOException {
        return run("ls '" + path.resolve(directory) + "'");
    }

    /// Runs a command of the shell's that sees the disk; all that it prints.
    public List<String> run(String command) throws IOException {
        var writer = shell.outputWriter();
        writer.write(command + "\necho; echo =end=\n");
        writer.flush();
        List<String> lines = new ArrayList<>();
        for (String line = output.readLine(); line != null; line = output.readLine()) {
            if (line.equals("=end=")) {
                return lines.stream().filter(l -> !l.isEmpty()).toList();
            }
            lines.add(line);
        }
        throw new IOException("the shell has ended: " + lines);
    }

    @Override
    public void close() {
        Stream.concat(shell.descendants(), Stream.of(shell.toHandle()))
                .forEach(ProcessHandle::destroyForcibly);
        shell.onExit().join();
    }
}
