package org.kaval.ci.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/// The C side of a benchmark (`exits.c`), which takes turns with the Java side.
final class CProgram implements AutoCloseable {
    private static final Path SOURCE = Path.of("src/test/bench/exits.c");

    private final Process process;
    private final PrintWriter commands;
    private final BufferedReader answers;

    /// Compiles and starts it.
    ///
    /// @param kind what it does: `pio`, `mmio`, `life`
    CProgram(String kind) throws IOException, InterruptedException {
        Path program = Files.createDirectories(Path.of("target/bench")).resolve("exits");
        int status =
                new ProcessBuilder(
                                "gcc", "-O2", "-Wall", "-o", program.toString(), SOURCE.toString())
                        .inheritIO()
                        .start()
                        .waitFor();
        if (status != 0) {
            throw new IOException("gcc failed on " + SOURCE);
        }
        process =
                new ProcessBuilder(program.toAbsolutePath().toString(), kind)
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        commands = new PrintWriter(process.getOutputStream(), true, StandardCharsets.US_ASCII);
        answers =
                new BufferedReader(
                        new InputStreamReader(process.getInputStream(), StandardCharsets.US_ASCII));
    }

    /// Does it `count` times.
    ///
    /// @return how long that took, in nanoseconds
    double measure(int count) throws IOException {
        commands.println(count);
        String answer = answers.readLine();
        if (answer == null) {
            throw new IOException(SOURCE + " has ended");
        }
        return Double.parseDouble(answer);
    }

    @Override
    public void close() {
        process.destroy();
    }
}
