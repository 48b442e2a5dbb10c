package org.kaval.nested;

import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.kaval.nested.guest.Frames;
import org.kaval.nested.guest.Message;

/// A process in the nested host. Any thread.
public final class NestedProcess {
    private final Frames frames;
    private final int stream;
    private final OutputStream out;
    private final OutputStream err;
    private final CompletableFuture<Long> pid = new CompletableFuture<>();
    private final CompletableFuture<Integer> status = new CompletableFuture<>();

    NestedProcess(Frames frames, int stream, OutputStream out, OutputStream err) {
        this.frames = frames;
        this.stream = stream;
        this.out = out;
        this.err = err;
    }

    /// Its number in the nested host.
    public long pid() throws IOException {
        return get(pid, Duration.ofSeconds(60));
    }

    /// Its standard input. Closing it is the process's end of file; each write goes out at once.
    public OutputStream input() {
        return new Input();
    }

    /// Waits until it has ended and its output has been passed on.
    ///
    /// @return its exit status; 128 and the signal's number if a signal has ended it
    /// @throws IOException if it could not be started, if the nested host has ended first, or if it
    ///   has not ended in time
    public int await(Duration limit) throws IOException {
        return get(status, limit);
    }

    /// Completes with its exit status once it has ended and its output has been passed on, or with
    /// the reason why there is none.
    public CompletableFuture<Integer> status() {
        return status.copy();
    }

    public boolean isAlive() {
        return !status.isDone();
    }

    /// Kills it, with the processes that it has started.
    public void kill() throws IOException {
        frames.send(Message.KILL, stream, new byte[0]);
    }

    /// @return whether this was the last frame
    boolean accept(Frames.Frame frame) throws IOException {
        switch (frame.type()) {
            case Message.STARTED -> pid.complete(Long.parseLong(frame.text()));
            case Message.OUTPUT -> pass(frame.payload(), out);
            case Message.ERROR -> pass(frame.payload(), err);
            case Message.EXITED -> status.complete(Integer.valueOf(frame.text()));
            case Message.FAILED -> fail(new NestedHostException(frame.text()));
            default -> throw new NestedHostException("agent sent type " + frame.type());
        }
        return status.isDone();
    }

    /// A reader that does not want it is the process's end, not the nested host's.
    private void pass(byte[] bytes, OutputStream sink) throws IOException {
        try {
            sink.write(bytes);
            sink.flush();
        } catch (IOException e) {
            fail(new NestedHostException("output of a nested process: " + e.getMessage(), e));
            kill();
        }
    }

    /// The nested host is gone.
    void fail(NestedHostException cause) {
        pid.completeExceptionally(cause);
        status.completeExceptionally(cause);
    }

    private static <T> T get(CompletableFuture<T> future, Duration limit) throws IOException {
        try {
            return future.get(limit.toNanos(), TimeUnit.NANOSECONDS);
        } catch (ExecutionException e) {
            throw NestedHostException.of(e);
        } catch (TimeoutException e) {
            throw new NestedHostException("no answer in " + limit.toSeconds() + " s", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new NestedHostException("interrupted", e);
        }
    }

    private final class Input extends OutputStream {
        private static final int CHUNK = 64 << 10;

        @Override
        public void write(int b) throws IOException {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            for (int done = 0; done < length; done += CHUNK) {
                int size = Math.min(CHUNK, length - done);
                frames.send(Message.INPUT, stream, bytes, offset + done, size);
            }
        }

        @Override
        public void close() throws IOException {
            if (isAlive()) {
                frames.send(Message.INPUT_END, stream, new byte[0]);
            }
        }
    }
}
