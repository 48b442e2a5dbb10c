package org.kaval.cli;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/// The training run for the image's AOT cache: does what people do first, in one process. Only the
/// build starts it, with a folder of its own as `KAVAL_RUNTIME_DIR`.
final class Training {
    private static final String NAME = "training";
    private static final long LONG_ENOUGH = TimeUnit.SECONDS.toNanos(60);

    /// jmp to itself.
    private static final byte[] BUSY = HexFormat.of().parseHex("ebfe");

    private Training() {}

    /// @param args a folder for its files, if guests can be booted
    public static void main(String[] args) throws Exception {
        execute("--version");
        execute("doctor");
        if (args.length > 0) {
            Path folder = Path.of(args[0]);
            execute("demo", "--tiny");
            Path payload = folder.resolve("demo.bin");
            try (InputStream demo = Training.class.getResourceAsStream("demo.bin")) {
                Files.write(payload, demo.readAllBytes());
            }
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
            nameAndRestore(folder);
        }
    }

    /// A machine with a name, a snapshot of it, and what becomes of that.
    private static void nameAndRestore(Path folder) throws IOException, InterruptedException {
        Path payload = Files.write(folder.resolve("busy.bin"), BUSY);
        String snapshot = folder.resolve("snapshot").toString();
        Thread machine =
                Thread.ofPlatform()
                        .daemon()
                        .start(() ->
                                status(
                                        "run",
                                        "--payload",
                                        payload.toString(),
                                        "--name",
                                        NAME,
                                        "--rng",
                                        "on",
                                        "--hvc",
                                        "on"));
        long begin = System.nanoTime();
        while (status("snapshot", NAME, snapshot) != ExitStatus.OK) { // it is not up yet
            if (!machine.isAlive()) {
                return; // this host cannot run it, as the log says
            }
            if (System.nanoTime() - begin > LONG_ENOUGH) {
                throw new IllegalStateException("there is no snapshot");
            }
            Thread.sleep(100);
        }
        execute("ps");
        execute("kill", NAME);
        machine.join();
        execute("restore", snapshot, "--time-limit", "1");
    }

    private static void execute(String... arguments) {
        int status = status(arguments);
        if (!Set.of(ExitStatus.OK, ExitStatus.HOST, ExitStatus.TIME_LIMIT).contains(status)) {
            throw new IllegalStateException(String.join(" ", arguments) + " ended with " + status);
        }
    }

    private static int status(String... arguments) {
        return Kaval.commandLine(arguments[0]).execute(arguments);
    }
}
