package org.kaval.devices.block;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// QEMU's tools for images, `qemu-img` and `qemu-io` (Debian's package qemu-utils).
final class Qemu {
    private Qemu() {}

    /// How a run ended, with what it printed.
    record Run(int status, String output) {}

    static Run run(String program, Object... arguments) throws IOException, InterruptedException {
        var command = new ArrayList<>(List.of(program));
        for (Object argument : arguments) {
            command.add(argument.toString());
        }
        Path output = Files.createTempFile("qemu", ".out");
        try {
            Process process =
                    new ProcessBuilder(command)
                            .redirectErrorStream(true)
                            .redirectOutput(output.toFile())
                            .start();
            return new Run(process.waitFor(), Files.readString(output));
        } catch (IOException e) {
            throw new AssertionError("needs 'sudo apt-get install qemu-utils'", e);
        } finally {
            Files.delete(output);
        }
    }

    /// Runs `qemu-img`, which must succeed.
    static String img(Object... arguments) throws IOException, InterruptedException {
        Run run = run("qemu-img", arguments);
        assertEquals(0, run.status(), () -> List.of(arguments) + ": " + run.output());
        return run.output();
    }

    /// Runs one command of `qemu-io` on an image, which must succeed.
    static void io(Path image, String format, String command)
            throws IOException, InterruptedException {
        Run run = run("qemu-io", "-f", format, "-c", command, image);
        assertEquals(0, run.status(), run::output);
    }

    /// `qemu-img check` finds neither errors nor leaks.
    static void assertClean(Path image) throws IOException, InterruptedException {
        Run run = run("qemu-img", "check", "-f", "qcow2", image);
        assertEquals(0, run.status(), run::output);
    }

    /// What QEMU reads from an image, all of it.
    static byte[] content(Path image, String format) throws IOException, InterruptedException {
        Path raw = Files.createTempFile("qemu", ".raw");
        try {
            img("convert", "-f", format, "-O", "raw", image, raw);
            return Files.readAllBytes(raw);
        } finally {
            Files.delete(raw);
        }
    }
}
