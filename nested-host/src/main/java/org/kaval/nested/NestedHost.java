package org.kaval.nested;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.kaval.guests.ArtifactCache;
import org.kaval.nested.guest.Frames;
import org.kaval.nested.guest.Message;

/// A Linux whose `/dev/kvm` is AMD-V as QEMU's software CPU has it. Any thread may use it.
///
/// The first start of some {@link Settings} builds an image, boots it and saves its state, in the
/// user's cache; later ones restore that state. Nested hosts are independent of each other. One
/// ends with {@link #close}, at its time limit, or with this process, however that ends.
public final class NestedHost implements AutoCloseable {
    private static final Duration PING = Duration.ofMillis(200);
    private static final Duration SIGN_OF_LIFE = Duration.ofMinutes(2);

    private final Qemu qemu;
    private final Frames frames;
    private final AtomicInteger streams = new AtomicInteger();
    private final Map<Integer, NestedProcess> processes = new ConcurrentHashMap<>();
    private final CompletableFuture<byte[]> hello = new CompletableFuture<>();
    private final CompletableFuture<NestedHostException> ended = new CompletableFuture<>();
    private final Thread watch;
    private volatile long lastSign = System.nanoTime();
    private volatile @Nullable String closedBecause;

    private NestedHost(Qemu qemu, Duration timeLimit) {
        this.qemu = qemu;
        this.frames =
                new Frames(
                        Channels.newInputStream(qemu.channel()),
                        Channels.newOutputStream(qemu.channel()));
        Thread.ofPlatform().daemon().name("nested-host-reader").start(this::read);
        this.watch = Thread.ofVirtual().name("nested-host-watch").unstarted(() -> watch(timeLimit));
    }

    /// Starts one, with the user's cache.
    ///
    /// @throws NestedHostException if it cannot be started
    /// @throws IOException if the cache cannot be written
    public static NestedHost start(Settings settings) throws IOException, InterruptedException {
        return start(settings, ArtifactCache.ofUser());
    }

    /// Starts one, with a cache of its own.
    public static NestedHost start(Settings settings, ArtifactCache cache)
            throws IOException, InterruptedException {
        return new SavedState(settings, cache).restore();
    }

    /// One whose agent has answered.
    static NestedHost connect(Qemu qemu, Settings settings, Duration answer) throws IOException {
        var host = new NestedHost(qemu, settings.timeLimit());
        boolean ready = false;
        try {
            host.awaitAgent(answer);
            ready = true;
            return host;
        } finally {
            if (!ready) {
                host.close();
            }
        }
    }

    /// Starts a process, in the root directory and with the agent's environment.
    ///
    /// @param out gets its output, on a thread that serves all processes: it should not block
    /// @param err the same for its error output
    public NestedProcess exec(List<String> command, OutputStream out, OutputStream err)
            throws IOException {
        return exec(command, Map.of(), "/", out, err);
    }

    /// Starts a process.
    ///
    /// @param environment what is set on top of the agent's own
    /// @param directory where it runs
    public NestedProcess exec(
            List<String> command,
            Map<String, String> environment,
            String directory,
            OutputStream out,
            OutputStream err)
            throws IOException {
        int stream = streams.incrementAndGet();
        var process = new NestedProcess(frames, stream, out, err);
        processes.put(stream, process);
        NestedHostException end = ended.getNow(null);
        if (end != null) {
            throw end;
        }
        frames.send(
                Message.START, stream, new Message.Start(command, environment, directory).encode());
        return process;
    }

    /// Copies a file, or a folder with all that is in it.
    ///
    /// @param source on this machine
    /// @param target the absolute path in the nested host; its parents are made
    public void copyIn(Path source, String target) throws IOException {
        new Transfer(this).in(source, target);
    }

    /// Copies files, and folders with all that is in them, to the paths that they have here;
    /// instead of symbolic links what they lead to.
    public void copyIn(Collection<Path> sources) throws IOException {
        new Transfer(this).in(sources);
    }

    /// Copies a file, or a folder with all that is in it.
    ///
    /// @param source the absolute path in the nested host
    /// @param target on this machine, where nothing may be yet; it is there whole or not at all
    public void copyOut(String source, Path target) throws IOException {
        new Transfer(this).out(source, target);
    }

    /// Completes when the nested host has ended, with the reason.
    public CompletableFuture<NestedHostException> ended() {
        return ended.copy();
    }

    public boolean isAlive() {
        return !ended.isDone();
    }

    /// What its console has printed since it was started or restored, the end if it was much.
    public String console() {
        return qemu.consoleText();
    }

    /// Ends it at once; what still ran there has failed. Does nothing the second time.
    @Override
    public void close() {
        end("it was closed");
    }

    /// From now on its time limit counts.
    void startWatch() {
        watch.start();
    }

    /// Ends the session but not the machine, which is then no longer this object's. Not once {@link
    /// #startWatch} was called: the agent could be about to answer a ping, and wait for ever.
    void disconnect() throws IOException {
        closedBecause = "its state is being saved";
        qemu.channel().close();
    }

    private void end(String reason) {
        if (closedBecause == null) {
            closedBecause = reason;
        }
        watch.interrupt();
        try {
            qemu.close();
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e); // close(2) of a socket: does not happen
        }
    }

    /// Ends it at its time limit, and when it has shown no sign of life for long.
    ///
    /// The pings have a second use. QEMU's software CPU has a race between an interrupt that comes
    /// from another thread and its own entry to or exit from a guest, in which the interrupt is
    /// forgotten until the next one comes; a guest that loops may then loop for ever (seen with
    /// QEMU 7.2). A ping is an interrupt.
    private void watch(Duration timeLimit) {
        long start = System.nanoTime();
        try {
            while (true) {
                Thread.sleep(PING);
                frames.send(Message.PING, 0, new byte[0]);
                long now = System.nanoTime();
                if (now - start > timeLimit.toNanos()) {
                    end("its time limit of " + timeLimit.toSeconds() + " s was reached");
                } else if (hello.isDone() && now - lastSign > SIGN_OF_LIFE.toNanos()) {
                    end("it has not answered for " + SIGN_OF_LIFE.toSeconds() + " s");
                }
            }
        } catch (InterruptedException | IOException e) {
            // it has ended, or its connection, which the reader reports
        }
    }

    private void awaitAgent(Duration answer) throws IOException {
        byte[] nonce = ByteBuffer.allocate(8).putLong(System.nanoTime()).array();
        frames.send(Message.HELLO, 0, nonce);
        try {
            byte[] reply = hello.get(answer.toNanos(), TimeUnit.NANOSECONDS);
            if (!Arrays.equals(nonce, reply)) {
                throw new NestedHostException("the agent's answer is not the expected one");
            }
        } catch (TimeoutException e) {
            throw new NestedHostException("the nested host does not start: " + qemu.epitaph(), e);
        } catch (ExecutionException e) {
            throw NestedHostException.of(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new NestedHostException("interrupted while the nested host was starting", e);
        }
    }

    /// Sets the clock, which has stood still in the saved state: to the second at once, and to some
    /// milliseconds at the next turn of the second.
    void setClock() throws IOException {
        Instant now = Instant.now();
        String microsLeft = Long.toString(1_000_000 - now.getNano() / 1000);
        exec(
                Transfer.shell(
                        "date -s @$1; usleep $3; date -s @$2",
                        Long.toString(now.getEpochSecond()),
                        Long.toString(now.getEpochSecond() + 1),
                        microsLeft),
                OutputStream.nullOutputStream(),
                OutputStream.nullOutputStream());
    }

    private void read() {
        NestedHostException cause;
        try {
            while (true) {
                accept(frames.receive());
            }
        } catch (NestedHostException e) {
            cause = e;
        } catch (IOException e) {
            String why = closedBecause != null ? closedBecause : qemu.epitaph();
            cause = new NestedHostException("the nested host has ended: " + why, e);
        }
        ended.complete(cause);
        hello.completeExceptionally(cause);
        for (NestedProcess process : processes.values()) {
            process.fail(cause);
        }
    }

    private void accept(Frames.Frame frame) throws IOException {
        lastSign = System.nanoTime();
        if (frame.type() == Message.PONG) {
            return;
        }
        if (frame.type() == Message.HELLO) {
            hello.complete(frame.payload());
            return;
        }
        NestedProcess process = processes.get(frame.stream());
        if (process != null && process.accept(frame)) {
            processes.remove(frame.stream());
        }
    }

    /// What a nested host is to be like.
    ///
    /// @param cpus 1 to 8
    /// @param mebibytes of RAM
    /// @param timeLimit after which it ends
    /// @param files put into its file system before the state is saved: paths there to files here
    /// @param prestarted a command that is started before the state is saved; once it has written a
    ///   byte, which is dropped, it waits for the first {@link #exec} of the same command
    /// @param console gets what its console prints, if not null
    public record Settings(
            int cpus,
            int mebibytes,
            Duration timeLimit,
            Map<String, Path> files,
            List<String> prestarted,
            @Nullable OutputStream console) {
        private static final int MAX_CPUS = 8;
        private static final int MIN_MEBIBYTES = 512;

        public Settings {
            files = Map.copyOf(files);
            prestarted = List.copyOf(prestarted);
            if (cpus < 1 || cpus > MAX_CPUS) {
                throw new IllegalArgumentException("cpus: " + cpus);
            }
            if (mebibytes < MIN_MEBIBYTES) {
                throw new IllegalArgumentException("mebibytes: " + mebibytes);
            }
        }

        /// One CPU, 6.5 GiB of RAM (which tests' guests of 6 GiB fit in; what nobody touches costs
        /// nothing), an hour. With more CPUs more is emulated at once, but QEMU 7.2's AMD-V then
        /// loses interrupts between them, and guests may hang.
        public Settings() {
            this(1, 6656, Duration.ofHours(1), Map.of(), List.of(), null);
        }

        public Settings withCpus(int count) {
            return new Settings(count, mebibytes, timeLimit, files, prestarted, console);
        }

        public Settings withMebibytes(int size) {
            return new Settings(cpus, size, timeLimit, files, prestarted, console);
        }

        public Settings withTimeLimit(Duration limit) {
            return new Settings(cpus, mebibytes, limit, files, prestarted, console);
        }

        public Settings withFiles(Map<String, Path> more) {
            return new Settings(cpus, mebibytes, timeLimit, more, prestarted, console);
        }

        public Settings withPrestarted(List<String> command) {
            return new Settings(cpus, mebibytes, timeLimit, files, command, console);
        }

        public Settings withConsole(@Nullable OutputStream log) {
            return new Settings(cpus, mebibytes, timeLimit, files, prestarted, log);
        }
    }
}
