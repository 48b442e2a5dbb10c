package org.kaval.devices;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Epoll;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;

/// Wires a UART to the host: output to a stream, input from whoever calls {@link #type} or from a
/// descriptor. A virtio console may be wired to the same stream ({@link #virtioPort}): both write
/// to it, and the input is the one's or the other's.
///
/// Both ways are bounded and neither blocks a vCPU. Output waits for its reader in a queue that a
/// thread of its own empties, as a stream may block; while the queue is full the UART tells the
/// guest that it is busy, so nothing is lost unless the guest does not look. Input waits in a queue
/// until the guest reads it, and while that is full no more is read from the descriptor. A person's
/// input goes through a filter, which is to see a key even if the guest reads nothing; so there is
/// more room for it.
public final class SerialConsole implements SerialPort, AutoCloseable {
    /// Some seconds of output for a reader that has stopped.
    private static final int OUTPUT_CAPACITY = 64 << 10;

    private static final int INPUT_CAPACITY = 4 << 10;

    /// What a person may paste.
    private static final int FILTERED_INPUT_CAPACITY = 1 << 20;

    private static final int READ_SIZE = 64 << 10;

    /// A reader that has filled the input queue waits until so much is free: woken for each byte
    /// that the guest takes, it would cost two switches of threads a byte.
    private static final int INPUT_ROOM_WORTH_READING = 2 << 10;

    private static final Duration DRAIN_LIMIT = Duration.ofSeconds(10);
    private static final Logger LOG = System.getLogger(SerialConsole.class.getName());

    private final String name;
    private final OutputStream sink;
    private final ByteQueue output = new ByteQueue(OUTPUT_CAPACITY);
    private final ByteQueue input;
    private final InputFilter filter;
    private final LongAdder lost = new LongAdder();
    private final Thread writer;
    private volatile Runnable onChange = () -> {};
    private volatile Runnable onInputRoom = () -> {};
    private volatile boolean readerWaits; // for room in the input queue
    private volatile boolean discarding; // the sink has failed: output goes nowhere
    private final VirtioPort virtioPort = new VirtioPort();
    private volatile Runnable onVirtioChange = () -> {};
    private volatile boolean inputIsVirtio; // and not the UART's
    private volatile boolean virtioUsed;

    /// @param name of the thread and in messages: `serial0`
    /// @param sink is written and flushed by one thread; it stays the caller's
    public SerialConsole(String name, OutputStream sink) {
        this(name, sink, InputFilter.NONE, INPUT_CAPACITY);
    }

    /// @param filter sees what comes from a descriptor, not what is given to {@link #type}
    public SerialConsole(String name, OutputStream sink, InputFilter filter) {
        this(name, sink, filter, FILTERED_INPUT_CAPACITY);
    }

    private SerialConsole(String name, OutputStream sink, InputFilter filter, int inputCapacity) {
        this.name = name;
        this.sink = sink;
        this.filter = filter;
        this.input = new ByteQueue(inputCapacity);
        this.writer = Thread.ofPlatform().name(name + "-out").daemon().start(this::write);
    }

    /// Says whom to tell that input has come or that there is room for output again: the UART.
    public void connect(Runnable uart) {
        onChange = uart;
    }

    /// What a virtio console is wired to. Its guest gets the input as soon as it has used it, since
    /// it has a login there then, and the UART when it gives it up.
    public ConsolePort virtioPort() {
        return virtioPort;
    }

    /// Whether the guest has used the virtio console, and has not given it up.
    public boolean virtioUsed() {
        return virtioUsed;
    }

    /// Gives the input to the virtio console instead of the UART, or the other way round.
    ///
    /// @return false if the guest does not use the virtio console
    public synchronized boolean switchInput() {
        if (virtioUsed) {
            inputIsVirtio = !inputIsVirtio;
            changed();
        }
        return virtioUsed;
    }

    private void changed() {
        onChange.run();
        if (virtioUsed) {
            onVirtioChange.run();
        }
    }

    /// Gives the guest input, as if it had been typed.
    ///
    /// @return how many of `bytes[from, to)` there was room for
    public int type(byte[] bytes, int from, int to) {
        int taken = input.offer(bytes, from, to);
        if (taken > 0) {
            changed();
        }
        return taken;
    }

    /// Gives the guest all of `bytes[from, to)`, waiting for it to read where it must.
    ///
    /// @return false if the console was closed before
    public boolean typeAll(byte[] bytes, int from, int to) throws InterruptedException {
        int next = from;
        while (next < to) {
            next += type(bytes, next, to);
            if (next < to && !input.awaitRoom()) {
                return false;
            }
        }
        return true;
    }

    /// Reads input from `fd`, on the loop's thread, until it ends. The descriptor stays the
    /// caller's, and is the only source of input then: {@link #type} is not called.
    public void readFrom(Fd fd, EventLoop loop) {
        loop.execute(() -> new Reader(fd, loop).start());
    }

    /// How many bytes of output were lost, since the guest wrote them in spite of being told to
    /// wait or since the sink failed.
    public long lostBytes() {
        return lost.sum();
    }

    @Override
    public boolean canSend() {
        return discarding || output.room() >= BURST;
    }

    @Override
    public boolean send(byte value) {
        boolean taken = !discarding && output.offer(value);
        if (!taken) {
            lost.increment();
        }
        return taken || discarding;
    }

    @Override
    public int receive() {
        if (inputIsVirtio) {
            return -1;
        }
        int value = input.poll();
        if (value >= 0) {
            wakeReader();
        }
        return value;
    }

    private void wakeReader() {
        if (readerWaits && input.room() >= INPUT_ROOM_WORTH_READING) {
            readerWaits = false;
            onInputRoom.run();
        }
    }

    /// The input that the guest has not read. Output is not the guest's any more: whoever has
    /// written it will show it.
    @Override
    public void persist(StateFields state) {
        byte[] present = input.peekAll();
        byte[] restored = state.bytes("input", present);
        if (state.isRestoring()) {
            input.offer(restored, 0, restored.length); // as much as there is room for
        }
    }

    /// Writes what is left, for 10 s at most, and ends the thread.
    @Override
    public void close() {
        input.close();
        output.close();
        try {
            if (!writer.join(DRAIN_LIMIT)) {
                LOG.log(Level.WARNING, "{0}: the reader of the output does not read", name);
                writer.interrupt();
            }
        } catch (InterruptedException e) {
            writer.interrupt();
            Thread.currentThread().interrupt();
        }
    }

    private void write() {
        byte[] buffer = new byte[OUTPUT_CAPACITY];
        int unwritten = 0;
        boolean done = false;
        try {
            for (int count = output.take(buffer); count > 0; count = output.take(buffer)) {
                unwritten = count;
                changed();
                sink.write(buffer, 0, count);
                sink.flush();
                unwritten = 0;
            }
            done = true;
        } catch (IOException e) {
            // whoever reads may go away at any time: that is worth one line, and the guest goes on
            LOG.log(Level.WARNING, "{0}: output is discarded: {1}", name, e.getMessage());
        } catch (InterruptedException e) {
            LOG.log(Level.DEBUG, "{0}: given up", name);
        } finally {
            if (!done) {
                discard(unwritten);
            }
        }
    }

    private void discard(int unwritten) {
        discarding = true;
        lost.add(unwritten);
        while (output.poll() >= 0) {
            lost.increment();
        }
        changed();
    }

    /// The end of a virtio console.
    private final class VirtioPort implements ConsolePort {
        @Override
        public void connect(Runnable virtioConsole) {
            onVirtioChange = virtioConsole;
        }

        @Override
        public void opened() {
            virtioUsed = true;
            inputIsVirtio = true;
        }

        @Override
        public void closed() {
            inputIsVirtio = false;
            virtioUsed = false;
            onChange.run(); // what has been typed is the UART's
        }

        @Override
        public int send(byte[] bytes, int from, int to) {
            if (discarding) {
                lost.add(to - from);
                return to - from;
            }
            // a UART that has seen room for a burst sends it without looking again
            return output.offer(bytes, from, to, BURST);
        }

        @Override
        public boolean hasInput() {
            return inputIsVirtio && !input.isEmpty();
        }

        @Override
        public int receive(byte[] into, int from, int to) {
            int count = inputIsVirtio ? input.poll(into, from, to) : 0;
            if (count > 0) {
                wakeReader();
            }
            return count;
        }
    }

    /// Moves bytes from a descriptor to the input queue, as fast as the guest takes them. Confined
    /// to the loop's thread.
    private final class Reader {
        private final Fd fd;
        private final EventLoop loop;
        private EventLoop.@Nullable Registration registration;

        Reader(Fd fd, EventLoop loop) {
            this.fd = fd;
            this.loop = loop;
        }

        void start() {
            onInputRoom = () -> loop.execute(this::resume);
            resume();
        }

        private void resume() {
            try {
                if (registration == null) {
                    registration = loop.register(fd, Epoll.IN, _ -> readOnce());
                }
            } catch (ErrnoException e) {
                if (e.errno() != Errno.EPERM) {
                    LOG.log(Level.WARNING, "{0}: no input: {1}", name, e.getMessage());
                    return;
                }
                readWholeFile(); // a regular file is always ready, and epoll does not take it
            }
        }

        /// Whether the queue is full; {@link #resume} is called when there is room again.
        private boolean mustWait() {
            if (input.room() > 0) {
                return false;
            }
            readerWaits = true;
            // the guest may have read that much in between without seeing that
            if (input.room() >= INPUT_ROOM_WORTH_READING) {
                readerWaits = false;
                return false;
            }
            return true;
        }

        private void readOnce() throws ErrnoException {
            if (mustWait()) {
                // not watched at all: the end of a pipe would be reported for as long as we wait
                cancel();
                return;
            }
            byte[] bytes = new byte[Math.min(input.room(), READ_SIZE)];
            int count = fd.read(bytes);
            if (count > 0) {
                type(bytes, 0, filter.filter(bytes, count));
            } else if (count == 0) {
                end();
            }
        }

        private void readWholeFile() {
            try {
                while (!mustWait()) {
                    byte[] bytes = new byte[Math.min(input.room(), READ_SIZE)];
                    int count = fd.read(bytes);
                    if (count <= 0) {
                        end();
                        return;
                    }
                    type(bytes, 0, filter.filter(bytes, count));
                }
            } catch (ErrnoException e) {
                LOG.log(Level.WARNING, "{0}: {1}", name, e.getMessage());
            }
        }

        private void cancel() {
            if (registration != null) {
                registration.cancel();
                registration = null;
            }
        }

        private void end() {
            cancel();
            onInputRoom = () -> {};
        }
    }
}
