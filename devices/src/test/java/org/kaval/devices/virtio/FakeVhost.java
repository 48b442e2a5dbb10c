package org.kaval.devices.virtio;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.net.NetBackend;
import org.kaval.devices.net.NetQueue;
import org.kaval.devices.net.NetTraffic;
import org.kaval.devices.net.Vhost;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;
import org.kaval.linux.IoVector;
import org.kaval.memory.GuestMemory;

/// A back end with a kernel that notes which rings it was given, and does nothing with them. What
/// is sent past it is counted.
final class FakeVhost implements NetBackend {
    final List<Kernel> kernels = new ArrayList<>();
    final List<Integer> sentBySize = new CopyOnWriteArrayList<>();
    volatile int used; // queues
    volatile boolean refusing;
    volatile @Nullable NetTraffic counted; // by the kernel

    FakeVhost(int queues) {
        for (int i = 0; i < queues; i++) {
            kernels.add(new Kernel());
        }
    }

    /// What is known of one pair: by ring, null if it is stopped.
    final class Kernel implements Vhost {
        final @Nullable Ring[] rings = new @Nullable Ring[2];
        final @Nullable EventFd[] calls = new @Nullable EventFd[2];
        final int[] next = new int[2]; // what it answers when it is stopped
        long features;

        @Override
        public synchronized void begin(long accepted, GuestMemory memory) {
            features = accepted;
        }

        @Override
        public synchronized void interruptBy(int ring, EventFd event) {
            calls[ring] = event;
        }

        @Override
        public synchronized void start(int ring, Ring at) throws ErrnoException {
            if (refusing) {
                throw new ErrnoException("start", "fake", Errno.EINVAL);
            }
            rings[ring] = at;
        }

        @Override
        public synchronized int stop(int ring) {
            rings[ring] = null;
            return next[ring];
        }

        synchronized boolean runs(int ring) {
            return rings[ring] != null;
        }

        synchronized Ring ring(int ring) {
            Ring at = rings[ring];
            if (at == null) {
                throw new AssertionError("ring " + ring + " is stopped");
            }
            return at;
        }

        /// Calls the driver.
        synchronized void call(int ring) {
            EventFd event = calls[ring];
            if (event == null) {
                throw new AssertionError("nobody to call");
            }
            event.signal();
        }

        @Override
        public void close() {}
    }

    @Override
    public int queues() {
        return kernels.size();
    }

    @Override
    public NetQueue queue(int index) {
        return new QuietQueue() {
            @Override
            public long send(IoVector frame) {
                sentBySize.add((int) frame.byteSize());
                return frame.byteSize();
            }
        };
    }

    @Override
    public int offloads() {
        return 0;
    }

    @Override
    public boolean hasHeader() {
        return true;
    }

    @Override
    public void use(int count) {
        used = count;
    }

    @Override
    public Vhost vhost(int index) {
        return kernels.get(index);
    }

    @Override
    public @Nullable NetTraffic traffic() {
        return counted;
    }

    @Override
    public void onLink(Consumer<Boolean> listener) {
        listener.accept(true);
    }

    @Override
    public void close() {}
}
