package org.kaval.devices.virtio;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Threads;
import org.kaval.linux.Epoll;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.WakeUp;
import org.kaval.memory.GuestFault;

/// Sockets between a guest and its host (§5.10): streams, which need neither a network nor an
/// address.
///
/// The host's side are Unix sockets:
///
/// - A client of the host's connects to the device's path, writes `CONNECT 1234` and a newline, and
///   is connected to whoever listens at port 1234 in the guest: it gets `OK`, the port of its own
///   end and a newline, and then what the guest sends. If nobody listens there, or the guest does
///   not want it, the socket is closed.
/// - A guest that connects to port 1234 of the host (context id 2) is connected to whoever listens
///   at the path with `_1234` behind it.
///
/// Each direction of a connection can be ended by itself. A side that does not read is waited for
/// by the other side of this connection, and by nobody else. There are at most 1024 connections at
/// once.
///
/// One thread serves all of them, and blocks for nothing but events: one of its own, as the
/// machine's event loop has clocks to keep while megabytes go through here.
public final class VirtioVsock extends LinkedDevice {
    /// The lowest context id that a guest can have; those below are other than guests.
    public static final long MIN_CID = 3;

    /// The highest: the next means any.
    public static final long MAX_CID = 0xffff_fffeL;

    /// How many descriptors a queue has: Linux needs two for a packet.
    static final int QUEUE_SIZE = 256;

    static final long F_STREAM = 1;

    private static final int TYPE = 19;
    private static final int PCI_COMMUNICATION = 0x07_8000;
    private static final int QUEUES = 3;

    // tokens; those of connections are not negative
    private static final long DOORBELL = -1;
    private static final long LISTENER = -2;

    private final long cid;
    private final Epoll epoll;
    private final UnixVsockHost host;
    private final ConfigSpace config = new ConfigSpace(Long.BYTES);
    private boolean hearsDoorbells; // the worker's
    private volatile @Nullable Worker worker;

    private VirtioVsock(String name, long cid, Epoll epoll, UnixVsockHost host) {
        super(name);
        this.cid = cid;
        this.epoll = epoll;
        this.host = host;
        config.set(0, Long.BYTES, cid);
    }

    /// Makes one, and listens at `path`, for this process's user only, until it is closed. A socket
    /// there that nobody listens at any more is replaced.
    ///
    /// @param name for threads and messages
    /// @param cid the guest's context id: from {@link #MIN_CID} to {@link #MAX_CID}
    /// @param path at most 96 bytes
    /// @throws IOException if it is no path for a socket, or something else is there
    public static VirtioVsock open(String name, long cid, Path path) throws IOException {
        if (cid < MIN_CID || cid > MAX_CID) {
            throw new IllegalArgumentException("no context id of a guest: " + cid);
        }
        Epoll epoll = Epoll.create();
        boolean done = false;
        try {
            var made = new VirtioVsock(name, cid, epoll, UnixVsockHost.open(path, epoll, LISTENER));
            done = true;
            return made;
        } finally {
            if (!done) {
                epoll.close();
            }
        }
    }

    @Override
    public int type() {
        return TYPE;
    }

    @Override
    public int pciClass() {
        return PCI_COMMUNICATION;
    }

    @Override
    public long features() {
        return F_STREAM;
    }

    @Override
    public List<Integer> queueSizes() {
        return Collections.nCopies(QUEUES, QUEUE_SIZE);
    }

    @Override
    public ConfigSpace config() {
        return config;
    }

    @Override
    public void activate(long features) {
        VirtioLink attached = link();
        var started = new Worker(attached);
        worker = started;
        started.thread.start();
    }

    @Override
    public void reset() {
        Worker running = worker;
        if (running != null) {
            running.close();
            worker = null;
        }
    }

    /// Buffers that have been taken ahead are put back.
    @Override
    public void hold() {
        Worker running = worker;
        if (running != null) {
            running.ask(Worker.PUT_BACK);
        }
    }

    /// The other ends of the guest's connections are not here: it is told so.
    @Override
    public void restored() {
        Worker running = worker;
        if (running != null) {
            running.ask(Worker.RESET_TRANSPORT);
        }
    }

    @Override
    public void close() {
        host.close();
        epoll.close();
    }

    /// The thread, from an activation to a reset.
    private final class Worker implements AutoCloseable {
        static final int PUT_BACK = 1;
        static final int RESET_TRANSPORT = 1 << 1;
        static final int STOP = 1 << 2;

        private final VirtioLink link;
        private final VsockConnections connections;
        private final Thread thread;
        private int asked; // guarded by this

        Worker(VirtioLink link) {
            this.link = link;
            this.connections = new VsockConnections(cid, link, host);
            this.thread = Thread.ofPlatform().name(name()).daemon().unstarted(this::run);
        }

        /// Has something done by the thread, soon. Any thread.
        void ask(int what) {
            synchronized (this) {
                asked |= what;
            }
            link.doorbell(0).signal();
        }

        private synchronized int takeAsked() {
            int taken = asked;
            asked = 0;
            return taken;
        }

        private void run() {
            try {
                hearDoorbells();
                while (true) {
                    int now = takeAsked();
                    if ((now & STOP) != 0) {
                        return;
                    }
                    boolean more = step(now);
                    int ready = epoll.await(more ? 0 : -1);
                    for (int i = 0; i < ready; i++) {
                        dispatch(epoll.token(i), epoll.events(i));
                    }
                }
            } catch (Throwable bug) { // the thread's last frame: the machine has to hear of it
                link.broken(bug);
            } finally {
                connections.close();
            }
        }

        private void hearDoorbells() throws ErrnoException {
            if (!hearsDoorbells) {
                hearsDoorbells = true;
                for (int i = 0; i < QUEUES; i++) {
                    WakeUp doorbell = link.doorbell(i);
                    // like whoever waits for it, this does not read it: each ring is an edge
                    epoll.add(doorbell.event().fd(), Epoll.IN | Epoll.EDGE, DOORBELL);
                }
            }
        }

        /// @return whether there is more to do
        private boolean step(int now) {
            if ((now & PUT_BACK) != 0) {
                connections.putBack();
            }
            if ((now & RESET_TRANSPORT) != 0) {
                connections.resetTransport();
            }
            try {
                return connections.step();
            } catch (GuestFault fault) {
                connections.close(); // their other ends learn that it is over
                link.needsReset(fault);
                return false;
            }
        }

        private void dispatch(long token, int events) {
            if (token == LISTENER) {
                connections.clientsWait();
            } else if (token != DOORBELL) {
                boolean failed = (events & Epoll.ERROR) != 0;
                boolean hungUp = (events & Epoll.HANGUP) != 0;
                boolean ending = hungUp || (events & Epoll.END_OF_INPUT) != 0;
                boolean canRead = failed || ending || (events & Epoll.IN) != 0;
                boolean canWrite = failed || hungUp || (events & Epoll.OUT) != 0;
                connections.ready(token, canRead, canWrite, ending, hungUp);
            }
        }

        @Override
        public void close() {
            ask(STOP);
            Threads.join(thread);
        }
    }
}
