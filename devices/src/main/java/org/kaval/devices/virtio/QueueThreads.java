package org.kaval.devices.virtio;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import org.kaval.devices.Threads;
import org.kaval.linux.WakeUp;
import org.kaval.memory.GuestFault;

/// Threads that serve the requests of one queue, for a device whose work may block. There are as
/// many as have been busy at once, up to a limit.
///
/// All wait for the doorbell; each ring wakes one of them. It takes requests, one after the other,
/// as long as their work does not have to wait. Before it does work that has to, it sees to it that
/// another thread looks after the rest, and does the work itself, so that the request does not
/// change hands. Where a queue has been busy, a thread looks for the next request for some
/// microseconds before it asks to be rung for ({@link Patience}).
///
/// Made and closed by one thread at a time.
public final class QueueThreads implements QueueService {
    private final String name;
    private final VirtioLink link;
    private final VirtQueue queue;
    private final WakeUp doorbell;
    private final int limit;
    private final Supplier<Handler> handlers;
    private final List<Thread> threads = new ArrayList<>(); // guarded by itself
    private final AtomicInteger idle = new AtomicInteger();
    private final AtomicBoolean watched = new AtomicBoolean(); // by a thread that will not sleep
    private volatile boolean full; // there are as many threads as there can be
    private volatile boolean stopping;
    private final BooleanSupplier ending = this::isStopping;

    /// Deals with requests. Each thread has its own.
    @FunctionalInterface
    public interface Handler {
        /// What {@link #tryHandle} answers if it has done nothing.
        long WOULD_WAIT = -1;

        /// Deals with one if that takes no longer than to wake another thread.
        ///
        /// @return as {@link #handle}, or {@link #WOULD_WAIT}
        /// @throws GuestFault if the driver has broken the rules
        default long tryHandle(DescriptorChain request) {
            return WOULD_WAIT;
        }

        /// Deals with one; allocates nothing.
        ///
        /// @return how many bytes of its writable part it has written, from the first on
        /// @throws GuestFault if the driver has broken the rules
        long handle(DescriptorChain request);
    }

    private QueueThreads(
            String name, VirtioLink link, int index, int limit, Supplier<Handler> handlers) {
        this.name = name;
        this.link = link;
        this.queue = link.queue(index);
        this.doorbell = link.doorbell(index);
        this.limit = limit;
        this.handlers = handlers;
    }

    /// Starts the first.
    ///
    /// @param name of the threads, to which their number is added
    /// @param index which queue
    /// @param limit how many threads at most
    /// @param handlers makes what deals with the requests, for each thread
    public static QueueThreads start(
            String name, VirtioLink link, int index, int limit, Supplier<Handler> handlers) {
        var started = new QueueThreads(name, link, index, limit, handlers);
        started.startAnother();
        return started;
    }

    private void startAnother() {
        synchronized (threads) {
            if (threads.size() < limit && !stopping) {
                Handler handler = handlers.get();
                threads.add(
                        Thread.ofPlatform()
                                .name("%s-%d".formatted(name, threads.size()))
                                .daemon()
                                .start(() -> run(handler)));
            }
            full = threads.size() == limit;
        }
    }

    private void run(Handler handler) {
        var request = new DescriptorChain(link.memory());
        var patience = new Patience();
        try {
            while (!stopping) {
                serve(handler, request, patience);
                long since = System.nanoTime();
                idle.incrementAndGet();
                doorbell.await(-1);
                idle.decrementAndGet();
                patience.slept(System.nanoTime() - since);
            }
        } catch (Throwable bug) { // the thread's last frame: the machine has to hear of it
            link.broken(bug);
        } finally {
            doorbell.signal(); // for the next that has to end
        }
    }

    private void serve(Handler handler, DescriptorChain request, Patience patience) {
        try {
            do {
                while (!stopping && queue.take(request)) {
                    long written = handler.tryHandle(request);
                    if (written == Handler.WOULD_WAIT) {
                        letAnotherWait(queue.awaitRequest());
                        written = handler.handle(request);
                    }
                    queue.complete(request, written);
                }
            } while (!stopping && (watch(patience) || queue.awaitRequest()));
        } catch (GuestFault fault) {
            link.needsReset(fault);
        }
    }

    private boolean isStopping() {
        return stopping;
    }

    /// Looks for requests of which the driver has not been asked to tell.
    ///
    /// @return whether there is one
    private boolean watch(Patience patience) {
        if (patience.nanos() == 0 || !watched.compareAndSet(false, true)) {
            return false;
        }
        try {
            return patience.findsRequest(queue, ending);
        } finally {
            watched.set(false);
        }
    }

    /// The work may take long: somebody else has to hear the next ring, and to look after what
    /// there is already. Once there are no more threads to be had, whoever is done first does.
    private void letAnotherWait(boolean more) {
        if (idle.get() == 0) {
            if (!full) {
                startAnother();
            }
        } else if (more) {
            doorbell.signal();
        }
    }

    /// Ends the threads, each after the request that it has. The queue gives out no more by then.
    @Override
    public void close() {
        List<Thread> all;
        synchronized (threads) {
            stopping = true;
            all = List.copyOf(threads);
        }
        doorbell.signal();
        all.forEach(Threads::join);
    }
}
