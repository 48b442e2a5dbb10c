package org.kaval.ci;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.kaval.testing.Effort;

/// The packaged command while it runs: what it prints, and what is typed and signalled to it.
final class RunningCommand implements AutoCloseable {
    /// Long enough that only a hang takes it, even for Linux on an emulated processor.
    private static final Duration LIMIT = Duration.ofMinutes(Effort.isFull() ? 30 : 3);

    private final Process process;
    private final Collected out;
    private final Collected err;

    private RunningCommand(Process process) {
        this.process = process;
        this.out = new Collected(process.getInputStream());
        this.err = new Collected(process.getErrorStream());
    }

    /// Starts `kaval` with its standard input from `input`.
    static RunningCommand start(File input, String... arguments) throws IOException {
        var command = new ArrayList<>(List.of(Image.kaval()));
        command.addAll(List.of(arguments));
        return start(input, command);
    }

    /// Starts `kaval run` with a payload.
    ///
    /// @param directory takes the payload's file
    static RunningCommand startPayload(File input, Path directory, byte[] code, String... options)
            throws IOException {
        Path payload = Files.write(directory.resolve("payload"), code);
        var arguments = new ArrayList<>(List.of("run", "--payload", payload.toString()));
        arguments.addAll(List.of(options));
        return start(input, arguments.toArray(String[]::new));
    }

    /// Starts a program that ends as `kaval`.
    static RunningCommand start(File input, List<String> command) throws IOException {
        return new RunningCommand(new ProcessBuilder(command).redirectInput(input).start());
    }

    /// Waits until standard output has `text`, `times` times.
    void awaitOutput(String text, int times) throws InterruptedException {
        out.await(text, times);
    }

    void awaitOutput(String text) throws InterruptedException {
        out.await(text, 1);
    }

    void awaitError(String text) throws InterruptedException {
        awaitError(text, 1);
    }

    void awaitError(String text, int times) throws InterruptedException {
        err.await(text, times);
    }

    String output() {
        return out.text();
    }

    String error() {
        return err.text();
    }

    void signal(String name) throws IOException, InterruptedException {
        Processes.run("kill", "-" + name, Long.toString(process.pid()));
    }

    /// Stops it where it is, until it gets SIGCONT: returns when all its threads stand.
    void stop() throws IOException, InterruptedException {
        signal("STOP");
        Path threads = Path.of("/proc", Long.toString(process.pid()), "task");
        while (!allStand(threads)) {
            Thread.sleep(1);
        }
    }

    private static boolean allStand(Path threads) throws IOException {
        try (DirectoryStream<Path> all = Files.newDirectoryStream(threads)) {
            for (Path thread : all) {
                String status = Files.readString(thread.resolve("stat"));
                if (status.charAt(status.lastIndexOf(')') + 2) != 'T') { // proc(5)
                    return false;
                }
            }
            return true;
        } catch (NoSuchFileException e) {
            return false; // a thread ended at the same moment
        }
    }

    /// Waits for the end; returns the exit status.
    int awaitExit() throws InterruptedException {
        if (!process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS)) {
            throw new AssertionError("still running\n" + output() + error());
        }
        out.awaitEnd();
        err.awaitEnd();
        return process.exitValue();
    }

    /// How much memory it has of the host's, in bytes.
    long residentBytes() throws IOException {
        Path status = Path.of("/proc", Long.toString(process.pid()), "status");
        String line =
                Files.readAllLines(status).stream()
                        .filter(each -> each.startsWith("VmRSS:"))
                        .findFirst()
                        .orElseThrow(
                                () -> new AssertionError("it has ended\n" + output() + error()));
        return Long.parseLong(line.replaceAll("\\D", "")) << 10; // in KiB: proc(5)
    }

    boolean isRunning() {
        return process.isAlive();
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }

    /// What a stream has had so far.
    private static final class Collected {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(); // guarded by this
        private boolean ended; // guarded by this

        Collected(InputStream in) {
            Thread.ofVirtual().start(() -> collect(in));
        }

        private void collect(InputStream in) {
            byte[] chunk = new byte[8192];
            try (in) {
                for (int count = in.read(chunk); count >= 0; count = in.read(chunk)) {
                    synchronized (this) {
                        bytes.write(chunk, 0, count);
                        notifyAll();
                    }
                }
            } catch (IOException e) {
                // the process was ended by force
            }
            synchronized (this) {
                ended = true;
                notifyAll();
            }
        }

        synchronized String text() {
            return bytes.toString(StandardCharsets.ISO_8859_1);
        }

        synchronized void await(String text, int times) throws InterruptedException {
            long end = System.nanoTime() + LIMIT.toNanos();
            while (text().split(java.util.regex.Pattern.quote(text), -1).length <= times) {
                if (ended || System.nanoTime() > end) {
                    throw new AssertionError("no '%s' in:%n%s".formatted(text, text()));
                }
                wait(1000);
            }
        }

        synchronized void awaitEnd() throws InterruptedException {
            while (!ended) {
                wait();
            }
        }
    }
}
