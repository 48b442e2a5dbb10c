package org.kaval.nested.guest;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/// One process in the nested host: its input comes from frames, its output goes out as frames.
///
/// A thread for each of input, output, error output and the end. Input waits in a bounded queue, so
/// a process that does not read its input holds up the others once the queue is full.
final class AgentProcess {
    private static final int CHUNK = 64 << 10;
    private static final int QUEUE = 64; // chunks

    /// How long the output of a process that has ended is waited for: what it started in the
    /// background may hold it open for ever.
    private static final long OUTPUT_MILLIS = 2000;

    private final List<String> command;
    private final Process process;
    private final BlockingQueue<Optional<byte[]>> input = new LinkedBlockingQueue<>(QUEUE);

    private AgentProcess(List<String> command, Process process) {
        this.command = command;
        this.process = process;
    }

    static AgentProcess start(Message.Start start) throws IOException {
        var builder =
                new ProcessBuilder(start.command()).directory(Path.of(start.directory()).toFile());
        builder.environment().putAll(start.environment());
        return new AgentProcess(start.command(), builder.start());
    }

    List<String> command() {
        return command;
    }

    /// Waits until the process has written its first byte, which is taken away, or has ended.
    void awaitReady() throws IOException {
        if (process.getInputStream().read() < 0) {
            System.out.println("agent: ended before it was ready: " + command);
        }
    }

    /// From now on its output is sent, and its end, after which `ended` runs.
    void attach(Frames frames, int stream, Runnable ended) throws IOException {
        frames.send(Message.STARTED, stream, Long.toString(process.pid()));
        Thread output = pump(process.getInputStream(), frames, Message.OUTPUT, stream);
        Thread errors = pump(process.getErrorStream(), frames, Message.ERROR, stream);
        daemon("input-" + stream, this::feed);
        daemon(
                "end-" + stream,
                () -> {
                    int status = process.waitFor();
                    output.join(OUTPUT_MILLIS);
                    errors.join(OUTPUT_MILLIS);
                    input.clear();
                    input.put(Optional.empty());
                    ended.run();
                    frames.send(Message.EXITED, stream, Integer.toString(status));
                });
    }

    void input(byte[] bytes) throws InterruptedException {
        if (bytes.length > 0) {
            input.put(Optional.of(bytes));
        }
    }

    void endInput() throws InterruptedException {
        input.put(Optional.empty());
    }

    void kill() {
        List<ProcessHandle> started = process.descendants().toList();
        process.destroyForcibly(); // first, or it would see its children end
        started.forEach(ProcessHandle::destroyForcibly);
    }

    private void feed() throws IOException, InterruptedException {
        boolean open = true;
        try (OutputStream out = process.getOutputStream()) {
            for (var next = input.take(); next.isPresent(); next = input.take()) {
                out.write(next.get());
                out.flush();
            }
            open = false;
        } finally {
            while (open && input.take().isPresent()) {
                // it does not read any more: what still comes for it is dropped
            }
        }
    }

    private static Thread pump(InputStream in, Frames frames, int type, int stream) {
        return daemon(
                "output-" + stream,
                () -> {
                    byte[] chunk = new byte[CHUNK];
                    for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
                        frames.send(type, stream, chunk, 0, n);
                    }
                });
    }

    private interface Task {
        void run() throws IOException, InterruptedException;
    }

    private static Thread daemon(String name, Task task) {
        return Thread.ofPlatform()
                .daemon()
                .name(name)
                .start(() -> {
                    try {
                        task.run();
                    } catch (IOException | InterruptedException e) {
                        System.out.println("agent: " + name + ": " + e.getMessage());
                    }
                });
    }
}
