package org.kaval.devices.virtio;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Threads;
import org.kaval.devices.net.NetBackend;
import org.kaval.devices.net.Vhost;
import org.kaval.linux.Epoll;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;
import org.kaval.memory.GuestFault;

/// The rings of a network device on which the host's kernel works ({@link Vhost}), as long as the
/// device is active.
///
/// The kernel calls the driver by itself while an interrupt leads there directly. While it does not
/// (its vector is masked, there are no messages), and when the driver has broken the rules, it
/// calls a thread of this process.
///
/// Used by one thread at a time.
final class VhostRings implements AutoCloseable {
    private static final int RINGS = 2; // of a pair

    private final VirtioLink link;
    private final NetBackend backend;
    private final List<EventFd> calls = new ArrayList<>(); // by queue: where no message can go
    private final List<EventFd> errors = new ArrayList<>();
    private final Epoll epoll;
    private final EventFd end;
    private final Thread thread;
    private final boolean[] running;
    private volatile boolean stopping;

    private VhostRings(String name, VirtioLink link, NetBackend backend, Epoll epoll, EventFd end) {
        this.link = link;
        this.backend = backend;
        this.epoll = epoll;
        this.end = end;
        this.running = new boolean[RINGS * backend.queues()];
        this.thread = Thread.ofPlatform().name(name).daemon().unstarted(this::run);
    }

    /// Begins with rings that are stopped.
    ///
    /// @param name of the thread
    /// @param features what the driver has accepted
    static VhostRings begin(String name, VirtioLink link, NetBackend backend, long features)
            throws ErrnoException {
        Epoll epoll = Epoll.create();
        VhostRings rings = null;
        boolean done = false;
        try {
            rings = new VhostRings(name, link, backend, epoll, EventFd.create(name + " end"));
            rings.watch();
            for (int pair = 0; pair < backend.queues(); pair++) {
                rings.kernel(pair).begin(features, link.memory());
            }
            rings.thread.start();
            done = true;
            return rings;
        } finally {
            if (!done) {
                epoll.close();
                if (rings != null) {
                    rings.closeEvents();
                }
            }
        }
    }

    private void watch() throws ErrnoException {
        for (int queue = 0; queue < running.length; queue++) {
            calls.add(EventFd.create("call of queue " + queue));
            epoll.add(calls.get(queue).fd(), Epoll.IN, queue);
        }
        for (int queue = 0; queue < running.length; queue++) {
            errors.add(EventFd.create("error of queue " + queue));
            epoll.add(errors.get(queue).fd(), Epoll.IN, running.length + (long) queue);
        }
        epoll.add(end.fd(), Epoll.IN, RINGS * (long) running.length);
    }

    private Vhost kernel(int pair) {
        Vhost kernel = backend.vhost(pair);
        if (kernel == null) {
            throw new IllegalStateException("no vhost for pair " + pair);
        }
        return kernel;
    }

    /// Lets the kernel work on the rings of the first `pairs` pairs that the driver has enabled.
    void startUpTo(int pairs) throws ErrnoException {
        for (int index = 0; index < RINGS * pairs; index++) {
            VirtQueue queue = link.queue(index);
            if (!running[index] && queue.isRunning()) {
                start(queue);
                running[index] = true;
            }
        }
    }

    private void start(VirtQueue queue) throws ErrnoException {
        int index = queue.index();
        var ring =
                new Vhost.Ring(
                        queue.size(),
                        queue.next(),
                        queue.part(VirtQueue.Part.DESCRIPTORS),
                        queue.part(VirtQueue.Part.AVAILABLE),
                        queue.part(VirtQueue.Part.USED),
                        link.doorbell(index).event(),
                        errors.get(index));
        link.interruptBy(index, event -> interruptBy(index, event));
        boolean done = false;
        try {
            kernel(index / RINGS).start(index % RINGS, ring);
            done = true;
        } finally {
            if (!done) {
                link.interruptBy(index, null);
                stop(index);
            }
        }
        // the driver may have added requests that somebody else was told of
        link.doorbell(index).signal();
    }

    private void interruptBy(int index, @Nullable EventFd event) {
        try {
            kernel(index / RINGS)
                    .interruptBy(index % RINGS, event == null ? calls.get(index) : event);
        } catch (ErrnoException e) {
            // ring and eventfd are there: nothing can go wrong
            throw new IllegalStateException(e);
        }
    }

    /// Takes the rings of all pairs but the first `pairs` back.
    void stopFrom(int pairs) {
        for (int index = RINGS * pairs; index < running.length; index++) {
            if (running[index]) {
                running[index] = false;
                link.queue(index).moved(stop(index));
                link.interruptBy(index, null);
            }
        }
    }

    private int stop(int index) {
        try {
            return kernel(index / RINGS).stop(index % RINGS);
        } catch (ErrnoException e) {
            // the ring is there: nothing can go wrong, and the guest's memory is not to be touched
            throw new IllegalStateException(e);
        }
    }

    private void run() {
        try {
            while (!stopping) {
                int ready = epoll.await(-1);
                for (int i = 0; i < ready; i++) {
                    heard((int) epoll.token(i));
                }
            }
        } catch (Throwable bug) { // the thread's last frame: the machine has to hear of it
            link.broken(bug);
        }
    }

    private void heard(int token) {
        if (token < running.length) {
            calls.get(token).drain();
            link.queue(token).interrupt();
        } else if (token < RINGS * running.length) {
            int index = token - running.length;
            errors.get(index).drain();
            link.needsReset(new GuestFault("queue %d: vhost-net finds it broken".formatted(index)));
            for (int each = 0; each < running.length; each++) {
                stop(each); // if it runs: who started it will hear of it by the reset
            }
        }
    }

    /// Takes all rings back.
    @Override
    public void close() {
        stopFrom(0);
        stopping = true;
        end.signal();
        Threads.join(thread);
        epoll.close();
        closeEvents();
    }

    private void closeEvents() {
        calls.forEach(EventFd::close);
        errors.forEach(EventFd::close);
        end.close();
    }
}
