package org.kaval.devices.virtio;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import org.kaval.devices.Threads;
import org.kaval.devices.block.RingAccess;
import org.kaval.linux.IoUring;
import org.kaval.linux.WakeUp;
import org.kaval.memory.GuestFault;

/// Serves the requests of one queue of a disk with one thread, which leaves to the kernel what has
/// to wait for the host's disk, and takes the next meanwhile: requests cost neither a thread each
/// nor the change from one to another.
///
/// What is in the page cache is read at once, as {@link QueueThreads} do. What a ring cannot do, as
/// giving space back, the thread does itself, and the requests behind it wait so long.
///
/// Made and closed by one thread at a time.
final class BlockRing implements QueueService {
    /// How many requests of a queue are in the kernel's hands at most.
    static final int MAX_IN_FLIGHT = 64;

    private static final long DOORBELL = -1; // the others' tokens are indices of slots

    private final VirtioLink link;
    private final VirtQueue queue;
    private final WakeUp doorbell;
    private final RingAccess access;
    private final IoUring ring;
    private final Supplier<BlockRequests> handlers;
    private final Thread thread;
    private final BooleanSupplier wanted = this::isWanted;
    private volatile boolean stopping;

    // the thread's
    private final List<Slot> slots = new ArrayList<>();
    private final ArrayDeque<Slot> free = new ArrayDeque<>(MAX_IN_FLIGHT);
    private final Patience patience = new Patience();

    /// A request, and what deals with it.
    private record Slot(int index, DescriptorChain request, BlockRequests handler) {}

    private BlockRing(
            String name,
            VirtioLink link,
            int index,
            RingAccess access,
            IoUring ring,
            Supplier<BlockRequests> handlers) {
        this.link = link;
        this.queue = link.queue(index);
        this.doorbell = link.doorbell(index);
        this.access = access;
        this.ring = ring;
        this.handlers = handlers;
        this.thread = Thread.ofPlatform().name(name).daemon().unstarted(this::run);
    }

    /// Starts one, if the kernel has rings and allows them.
    ///
    /// @param name of the thread
    /// @param index which queue
    /// @param access to the disk's image
    /// @param handlers makes what deals with a request, for each of those that are under way
    static Optional<QueueService> start(
            String name,
            VirtioLink link,
            int index,
            RingAccess access,
            Supplier<BlockRequests> handlers) {
        Optional<IoUring> ring = IoUring.open(MAX_IN_FLIGHT + 1);
        if (ring.isEmpty()) {
            return Optional.empty();
        }
        var started = new BlockRing(name, link, index, access, ring.get(), handlers);
        started.thread.start();
        return Optional.of(started);
    }

    private void run() {
        try {
            doorbell.poll(ring, DOORBELL);
            while (!stopping) {
                boolean busy = endAll();
                try {
                    busy |= beginAll();
                    busy = busy || isRequested();
                } catch (GuestFault fault) {
                    link.needsReset(fault);
                    busy = false;
                }
                if (busy) {
                    ring.submit();
                } else if (!stopping) { // whose ring may have been heard with a driver's
                    sleep();
                }
            }
        } catch (Throwable bug) { // the thread's last frame: the machine has to hear of it
            link.broken(bug);
        } finally {
            awaitAll();
            ring.close();
        }
    }

    /// Takes requests, and deals with them or begins to.
    ///
    /// @return whether there were any
    private boolean beginAll() {
        int count = 0;
        while (!stopping && !isFull()) {
            Slot slot = slot();
            boolean taken = false;
            try {
                taken = queue.take(slot.request);
            } finally {
                if (!taken) {
                    free.push(slot);
                }
            }
            if (!taken) {
                break;
            }
            count++;
            begin(slot);
        }
        return count > 0;
    }

    private void begin(Slot slot) {
        boolean begun = false;
        try {
            long written = slot.handler.tryHandle(slot.request);
            if (written == QueueThreads.Handler.WOULD_WAIT) {
                begun = slot.handler.begin(slot.request, access, ring, slot.index);
                if (begun) {
                    return;
                }
                written = slot.handler.handle(slot.request);
            }
            queue.complete(slot.request, written);
        } finally {
            if (!begun) {
                free.push(slot);
            }
        }
    }

    private boolean isFull() {
        return free.isEmpty() && slots.size() == MAX_IN_FLIGHT;
    }

    private Slot slot() {
        Slot unused = free.poll();
        if (unused != null) {
            return unused;
        }
        var slot = new Slot(slots.size(), new DescriptorChain(link.memory()), handlers.get());
        slots.add(slot);
        return slot;
    }

    /// Gives back the requests that the kernel is done with.
    ///
    /// @return whether there were any
    private boolean endAll() {
        int count = 0;
        while (ring.next()) {
            if (ring.token() == DOORBELL) {
                doorbell.await(0);
                doorbell.poll(ring, DOORBELL);
            } else {
                end(slots.get((int) ring.token()));
                count++;
            }
        }
        return count > 0;
    }

    private void end(Slot slot) {
        free.push(slot);
        queue.complete(slot.request, slot.handler.end(slot.request, access, ring.result()));
    }

    /// Looks for something to do for a while, then asks the driver to ring.
    ///
    /// @return whether there is something to do
    private boolean isRequested() {
        ring.submit();
        return !isFull()
                && (patience.findsRequest(queue, wanted)
                        || ring.hasResult()
                        || queue.awaitRequest());
    }

    private boolean isWanted() {
        return stopping || ring.hasResult();
    }

    private void sleep() {
        long since = System.nanoTime();
        ring.await();
        patience.slept(System.nanoTime() - since);
    }

    /// Waits for what is in the kernel's hands: it must not write to memory that is somebody else's
    /// by then.
    private void awaitAll() {
        while (free.size() < slots.size()) {
            ring.await();
            endAll();
        }
    }

    @Override
    public void close() {
        stopping = true;
        doorbell.signal();
        Threads.join(thread);
    }
}
