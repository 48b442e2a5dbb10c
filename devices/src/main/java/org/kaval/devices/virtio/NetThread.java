package org.kaval.devices.virtio;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Threads;
import org.kaval.linux.Epoll;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.WakeUp;
import org.kaval.memory.GuestFault;

/// A thread that moves frames in one direction of one queue: it waits for the driver, or for the
/// host and the driver.
///
/// Made and closed by one thread at a time.
final class NetThread implements AutoCloseable {
    private static final Logger LOG = System.getLogger(NetThread.class.getName());

    private final VirtioLink link;
    private final VirtQueue queue;
    private final WakeUp doorbell;
    private final Epoll epoll;
    private final Work work;
    private final Thread thread;
    private final Patience patience = new Patience();
    private @Nullable Fd watched; // the thread's own
    private volatile boolean stopping;
    private volatile boolean holding;
    private final BooleanSupplier ending = this::isEnding;

    /// What to do next.
    enum Next {
        /// The next step.
        GO_ON,
        /// Wait until the driver rings.
        AWAIT_DRIVER,
        /// Wait until the host is ready, or the driver rings.
        AWAIT_HOST
    }

    /// What is to be done.
    interface Work {
        /// Which of {@link Epoll}'s events the host is ready with.
        int events();

        /// The host's end, null if there is none.
        @Nullable Fd host();

        /// Does a little.
        ///
        /// @throws GuestFault if the driver has broken the rules
        /// @throws ErrnoException if the host's end is of no use any more
        Next step() throws ErrnoException;

        /// Puts back all requests that it has.
        void putBack();
    }

    private NetThread(String name, VirtioLink link, int index, Epoll epoll, Work work) {
        this.link = link;
        this.queue = link.queue(index);
        this.doorbell = link.doorbell(index);
        this.epoll = epoll;
        this.work = work;
        this.thread = Thread.ofPlatform().name(name).daemon().unstarted(this::run);
    }

    /// Starts one for queue `index`.
    static NetThread start(String name, VirtioLink link, int index, Work work)
            throws ErrnoException {
        Epoll epoll = Epoll.create();
        boolean done = false;
        try {
            epoll.add(link.doorbell(index).event().fd(), Epoll.IN | Epoll.EDGE, 0);
            done = true;
        } finally {
            if (!done) {
                epoll.close();
            }
        }
        var started = new NetThread(name, link, index, epoll, work);
        started.thread.start();
        return started;
    }

    /// Puts back what it has, soon.
    void hold() {
        holding = true;
        doorbell.signal();
    }

    private void run() {
        try {
            while (!stopping) {
                switch (step()) {
                    case GO_ON -> {}
                    case AWAIT_DRIVER -> awaitDriver();
                    case AWAIT_HOST -> awaitHost();
                }
            }
            work.putBack(); // the driver may go on with fewer pairs of queues
        } catch (ErrnoException e) {
            LOG.log(Level.ERROR, "{0} ends: {1}", thread.getName(), e.getMessage());
            work.putBack();
        } catch (Throwable bug) { // the thread's last frame: the machine has to hear of it
            link.broken(bug);
        }
    }

    private Next step() throws ErrnoException {
        if (holding) {
            holding = false;
            work.putBack();
        }
        try {
            return work.step();
        } catch (GuestFault fault) {
            link.needsReset(fault);
            return Next.AWAIT_DRIVER;
        }
    }

    private void awaitDriver() {
        if (findsRequest()) {
            return;
        }
        long since = System.nanoTime();
        doorbell.await(-1);
        patience.slept(System.nanoTime() - since);
    }

    private boolean isEnding() {
        return stopping || holding;
    }

    /// Looks for requests of which the driver will tell, too.
    private boolean findsRequest() {
        try {
            return patience.findsRequest(queue, ending);
        } catch (GuestFault fault) {
            link.needsReset(fault);
            return false;
        }
    }

    private void awaitHost() throws ErrnoException {
        Fd host = work.host();
        if (host != null && host != watched) {
            watch(host);
            watched = host;
        }
        epoll.await(-1);
    }

    /// For edges: so it does not matter what else is watched. What was closed is not, any more.
    private void watch(Fd host) throws ErrnoException {
        try {
            epoll.add(host, work.events() | Epoll.EDGE, 0);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.EEXIST) { // it was watched before another one was
                throw e;
            }
        }
    }

    /// Ends it, after the step that it is at; what it has, it puts back.
    @Override
    public void close() {
        stopping = true;
        doorbell.signal();
        Threads.join(thread);
        epoll.close();
    }
}
