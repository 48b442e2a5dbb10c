package org.kaval.cli;

import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/// The training run for the image's AOT cache: does what people do first, in one process. Only the
/// build starts it.
final class Training {
    private Training() {}

    /// @param args `kvm` if guests can be booted
    public static void main(String[] args) throws Exception {
        execute("--version");
        execute("doctor");
        if (args.length > 0 && args[0].equals("kvm")) {
            execute("demo", "--tiny");
            Path payload = Files.createTempFile("kaval-training", ".bin");
            try (InputStream demo = Training.class.getResourceAsStream("demo.bin")) {
                Files.write(payload, demo.readAllBytes());
                // with the virtio devices that a kernel has
                execute(
                        "run",
                        "--payload",
                        payload.toString(),
                        "--cpus",
                        "2",
                        "--rng",
                        "on",
                        "--hvc",
                        "on",
                        "--stats");
            } finally {
                Files.delete(payload);
            }
        }
    }

    private static void execute(String... arguments) {
        int status = Kaval.commandLine(arguments[0]).execute(arguments);
        if (status != ExitStatus.OK && status != ExitStatus.HOST) {
            throw new IllegalStateException(String.join(" ", arguments) + " ended with " + status);
        }
    }
}
