package org.kaval.devices.virtio;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.InterruptLine;
import org.kaval.devices.StateException;
import org.kaval.devices.StateFields;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestMemory;

/// The device's side of a split virtqueue (§2.7).
///
/// ```
/// descriptors  size × { le64 address; le32 length; le16 flags; le16 next }
/// available    { le16 flags; le16 idx; le16 ring[size]; le16 used_event }         the driver writes
/// used         { le16 flags; le16 idx; { le32 id; le32 len } ring[size]; le16 avail_event }  we do
/// ```
///
/// Any thread (guarded by this): several may take requests and complete them. {@link #take} and
/// {@link #complete} allocate nothing. Everything that the driver has written is checked, and read
/// once, since it may change at any time; a breach is a {@link GuestFault}, after which the device
/// asks to be reset.
public final class VirtQueue {
    /// The largest queue (§2.7).
    public static final int MAX_SIZE = 1 << 15;

    /// Bit of {@link #start}: descriptors may point to tables of descriptors (§6).
    static final long F_INDIRECT_DESC = 1L << 28;

    /// Bit of {@link #start}: each side says when it wants to hear of the other (§6).
    static final long F_EVENT_IDX = 1L << 29;

    private static final int DESCRIPTOR = 16;
    private static final int DESC_LENGTH = 8;
    private static final int DESC_FLAGS = 12;
    private static final int DESC_NEXT = 14;
    private static final int DESC_F_NEXT = 1;
    private static final int DESC_F_WRITE = 1 << 1;
    private static final int DESC_F_INDIRECT = 1 << 2;

    private static final int RING_IDX = 2;
    private static final int RING_ENTRIES = 4;
    private static final int AVAILABLE_ENTRY = 2;
    private static final int AVAIL_F_NO_INTERRUPT = 1;
    private static final int USED_ENTRY = 8;
    private static final int USED_LENGTH = 4;

    private static final int INDEX_MASK = 0xffff;
    private static final long MAX_BYTES = 1L << 32;

    private final GuestMemory memory;
    private final int index;
    private final int maxSize;
    private final InterruptLine interrupt;
    private final @Nullable Consumer<Supplier<String>> observer;

    // what the driver has set
    private int size;
    private boolean ready;
    private long descriptors;
    private long available;
    private long used;

    private boolean running;
    private boolean held;
    private boolean indirectAllowed;
    private boolean eventIndex;
    private int nextAvailable;
    private int seenAvailable; // the driver's index, when it was looked at
    private int nextUsed;
    private int staged; // used entries that the driver cannot see yet
    private long requests; // since the device was made

    /// What it has in the guest's memory.
    enum Part {
        DESCRIPTORS,
        AVAILABLE,
        USED;

        private static final Part[] ALL = values();

        /// Which one a transport's register is about.
        ///
        /// @param offset from the first of the registers
        /// @param stride from one part's to the next
        static Part at(int offset, int stride) {
            return ALL[offset / stride];
        }
    }

    /// @param index which queue of its device it is
    /// @param maxSize how many descriptors at most: a power of two
    /// @param interrupt is pulled when the driver wants to hear of used buffers
    /// @param observer is told what happens, if not null
    VirtQueue(
            GuestMemory memory,
            int index,
            int maxSize,
            InterruptLine interrupt,
            @Nullable Consumer<Supplier<String>> observer) {
        if (maxSize < 1 || maxSize > MAX_SIZE || Integer.bitCount(maxSize) != 1) {
            throw new IllegalArgumentException("no size of a queue: " + maxSize);
        }
        this.memory = memory;
        this.index = index;
        this.maxSize = maxSize;
        this.interrupt = interrupt;
        this.observer = observer;
        this.size = maxSize;
    }

    /// Which queue of its device it is, from 0.
    public int index() {
        return index;
    }

    /// How many requests have been taken from it since the device was made; resets do not change
    /// that.
    public synchronized long requests() {
        return requests;
    }

    /// The memory that its requests are in.
    public GuestMemory memory() {
        return memory;
    }

    int maxSize() {
        return maxSize;
    }

    /// How many descriptors the driver uses.
    public synchronized int size() {
        return size;
    }

    synchronized boolean isReady() {
        return ready;
    }

    /// Sets how many descriptors there are, unless the queue is in use; it is checked then.
    synchronized void setSize(int newSize) {
        size = ready ? size : newSize;
    }

    /// Sets where a part is, unless the queue is in use; it is checked then.
    synchronized void setAddress(Part part, long address) {
        if (!ready) {
            switch (part) {
                case DESCRIPTORS -> descriptors = address;
                case AVAILABLE -> available = address;
                case USED -> used = address;
            }
        }
    }

    /// Sets one half of where a part is, as drivers do.
    synchronized void setAddress(Part part, boolean upper, int bits) {
        long address = address(part);
        setAddress(part, upper ? high(address, bits) : low(address, bits));
    }

    synchronized long address(Part part) {
        return switch (part) {
            case DESCRIPTORS -> descriptors;
            case AVAILABLE -> available;
            case USED -> used;
        };
    }

    /// `value` with other low 32 bits.
    static long low(long value, int bits) {
        return (value & ~0xffff_ffffL) | Integer.toUnsignedLong(bits);
    }

    /// `value` with other high 32 bits.
    static long high(long value, int bits) {
        return (value & 0xffff_ffffL) | ((long) bits << Integer.SIZE);
    }

    /// Takes the registers as they are.
    ///
    /// @throws GuestFault if the rings are not where rings can be
    synchronized void enable() {
        if (size < 1 || size > maxSize || Integer.bitCount(size) != 1) {
            throw fault("a size of " + size);
        }
        // §2.7: what each part is aligned to, and how long it is
        check("descriptors", descriptors, DESCRIPTOR, length(Part.DESCRIPTORS));
        check("available ring", available, 2, length(Part.AVAILABLE));
        check("used ring", used, 4, length(Part.USED));
        ready = true;
        if (observer != null) {
            String text =
                    "%s enabled: %d descriptors at 0x%x, available at 0x%x, used at 0x%x"
                            .formatted(this, size, descriptors, available, used);
            observer.accept(() -> text);
        }
    }

    /// Begins to give out requests, if the driver has enabled it.
    ///
    /// @param features what the driver has accepted
    synchronized void start(long features) {
        indirectAllowed = (features & F_INDIRECT_DESC) != 0;
        eventIndex = (features & F_EVENT_IDX) != 0;
        running = ready;
    }

    /// Gives out no more requests, and takes none back: when it returns, nobody touches the rings.
    synchronized void stop() {
        running = false;
        notifyAll();
    }

    /// The driver does not use it any more.
    synchronized void disable() {
        running = false;
        ready = false;
    }

    /// Is as it was at first.
    synchronized void reset() {
        running = false;
        ready = false;
        size = maxSize;
        descriptors = 0;
        available = 0;
        used = 0;
        nextAvailable = 0;
        seenAvailable = 0;
        nextUsed = 0;
        staged = 0;
    }

    /// Gives out no more requests until {@link #release}; those that have been taken can be given
    /// back.
    synchronized void hold() {
        held = true;
    }

    /// Gives out requests again; whoever takes them has to be woken.
    synchronized void release() {
        held = false;
    }

    /// Waits until all requests that have been taken have been given back.
    ///
    /// @return false if they have not by then
    /// @param deadline by {@link System#nanoTime}
    synchronized boolean awaitIdle(long deadline) throws InterruptedException {
        while (running && nextAvailable != nextUsed) {
            long left = deadline - System.nanoTime();
            if (left <= 0) {
                return false;
            }
            TimeUnit.NANOSECONDS.timedWait(this, left);
        }
        return true;
    }

    /// Whether it gives out requests, or somebody else does by {@link #next} and {@link #moved}.
    synchronized boolean isRunning() {
        return running;
    }

    /// Which request of the driver's is the next, modulo 2^16. None is in flight.
    synchronized int next() {
        if (nextAvailable != nextUsed) {
            throw new IllegalStateException(this + " has requests in flight");
        }
        return nextAvailable;
    }

    /// Somebody else has taken all requests before `next` and given them back.
    synchronized void moved(int next) {
        if (running) {
            nextAvailable = next;
            seenAvailable = next;
            nextUsed = next;
            memory.writeLe16(used, 0); // its flags, which are never other than 0 here
        }
    }

    /// Where a part of it is, which has been checked.
    synchronized MemorySegment part(Part part) {
        return memory.slice(address(part), length(part));
    }

    private long length(Part part) {
        return switch (part) {
            case DESCRIPTORS -> (long) DESCRIPTOR * size;
            case AVAILABLE -> RING_ENTRIES + AVAILABLE_ENTRY * size + 2L;
            case USED -> RING_ENTRIES + USED_ENTRY * size + 2L;
        };
    }

    /// Interrupts the driver.
    void interrupt() {
        interrupt.pulse();
    }

    /// Its state, with no request in flight. Restored, it gives out requests once it is started.
    ///
    /// @throws StateException if it is in use and its rings are not where rings can be
    synchronized void persist(StateFields state) {
        size = state.number("size", size, Integer.MIN_VALUE, Integer.MAX_VALUE);
        descriptors = state.number("descriptors", descriptors);
        available = state.number("available", available);
        used = state.number("used", used);
        nextAvailable = state.number("nextAvailable", nextAvailable, 0, INDEX_MASK);
        seenAvailable = nextAvailable;
        nextUsed = state.number("nextUsed", nextUsed, 0, INDEX_MASK);
        boolean enabled = state.flag("ready", ready);
        if (state.isRestoring() && enabled) {
            try {
                enable();
            } catch (GuestFault fault) {
                throw new StateException(String.valueOf(fault.getMessage()));
            }
        }
    }

    /// Takes the next request.
    ///
    /// @param into what it is put into, if there is one
    /// @return false if there is none
    /// @throws GuestFault if the driver has broken the rules
    public synchronized boolean take(DescriptorChain into) {
        if (!running || held || pending() == 0) {
            return false;
        }
        int entry = nextAvailable & (size - 1);
        int head = memory.readLe16(available + RING_ENTRIES + (long) AVAILABLE_ENTRY * entry);
        into.begin(head);
        walk(into);
        nextAvailable = (nextAvailable + 1) & INDEX_MASK;
        requests++;
        if (observer != null) {
            tellOfRequest(observer, into);
        }
        return true;
    }

    /// Takes the next request, or asks the driver to ring when it adds one.
    ///
    /// @return false if there is none, and the driver will ring
    /// @throws GuestFault if the driver has broken the rules
    public boolean takeOrAwait(DescriptorChain into) {
        return take(into) || (awaitRequest() && take(into));
    }

    /// Puts back the request that was taken last, of which nothing has been used: it is taken
    /// again.
    public synchronized void putBack() {
        if (running && nextAvailable != nextUsed) {
            nextAvailable = (nextAvailable - 1) & INDEX_MASK;
            requests--;
            notifyAll();
        }
    }

    /// Whether there is a request to take.
    ///
    /// @throws GuestFault if the driver has broken the rules
    synchronized boolean hasRequest() {
        return running && !held && pending() != 0;
    }

    /// Asks the driver to ring when it adds a request.
    ///
    /// @return whether there is one already: the driver may have added it before it could see this
    /// @throws GuestFault if the driver has broken the rules
    public synchronized boolean awaitRequest() {
        if (!running || held) {
            return false;
        }
        if (eventIndex) {
            long availableEvent = used + RING_ENTRIES + (long) USED_ENTRY * size;
            memory.writeLe16(availableEvent, nextAvailable);
            // §2.7.10: the driver writes idx and then reads avail_event, we do it the other way
            // round; without a full fence on both sides neither may see what the other wrote
            VarHandle.fullFence();
        }
        return pending() != 0;
    }

    /// Gives a request back, and interrupts the driver if it wants to hear of it. Nothing happens
    /// if the queue was reset meanwhile.
    ///
    /// @param written how many bytes of {@link DescriptorChain#writable} the device has written,
    ///   from the first on
    public void complete(DescriptorChain chain, long written) {
        chain.writable().markDirty(written);
        int head = chain.head();
        boolean interrupts = push(head, written);
        if (observer != null) {
            tellOfCompletion(observer, head, written, interrupts);
        }
        if (interrupts) {
            interrupt.pulse();
        }
    }

    /// Gives a request back as {@link #complete} does, but the driver sees it only with the next
    /// that is completed: for what is one thing in several requests.
    void stage(DescriptorChain chain, long written) {
        chain.writable().markDirty(written);
        int head = chain.head();
        synchronized (this) {
            if (running) {
                putUsed(head, written);
                staged++;
            }
        }
        if (observer != null) {
            tellOfCompletion(observer, head, written, false);
        }
    }

    private void tellOfRequest(Consumer<Supplier<String>> to, DescriptorChain chain) {
        int head = chain.head();
        long readable = chain.readable().size();
        long writable = chain.writable().size();
        to.accept(() ->
                "%s takes %d: %d bytes to read, %d to write"
                        .formatted(this, head, readable, writable));
    }

    private void tellOfCompletion(
            Consumer<Supplier<String>> to, int head, long written, boolean interrupts) {
        to.accept(() ->
                "%s gives back %d: %d bytes written%s"
                        .formatted(this, head, written, interrupts ? ", interrupt" : ""));
    }

    /// @return whether the driver wants to be interrupted
    private synchronized boolean push(int head, long written) {
        if (!running) {
            return false;
        }
        int published = (nextUsed - staged) & INDEX_MASK;
        staged = 0;
        putUsed(head, written);
        if (held) {
            notifyAll();
        }
        // §2.7.8: the entry, and what the device has written into the buffers, before the index
        memory.releaseLe16(used + RING_IDX, nextUsed);
        // §2.7.7: idx must be out before used_event or flags are read. A driver that asks for an
        // interrupt looks at idx once more after that, so one of us sees what the other wrote
        VarHandle.fullFence();
        if (!eventIndex) {
            return (memory.readLe16(available) & AVAIL_F_NO_INTERRUPT) == 0;
        }
        // §2.7.7.2: used_event is the entry of which the driver wants to hear
        long usedEvent = available + RING_ENTRIES + (long) AVAILABLE_ENTRY * size;
        int wanted = (memory.readLe16(usedEvent) - published) & INDEX_MASK;
        return wanted < ((nextUsed - published) & INDEX_MASK);
    }

    private void putUsed(int head, long written) {
        long entry = used + RING_ENTRIES + (long) USED_ENTRY * (nextUsed & (size - 1));
        memory.writeLe32(entry, head);
        memory.writeLe32(entry + USED_LENGTH, (int) written);
        nextUsed = (nextUsed + 1) & INDEX_MASK;
    }

    /// How many requests there are that nobody has taken; the driver may have added more. Its index
    /// is looked at when those that were seen are used up: it writes there all the time, and each
    /// look takes the cache line from its processor.
    ///
    /// @throws GuestFault if the driver has broken the rules
    private int pending() {
        if (seenAvailable == nextAvailable) {
            seenAvailable = lookForRequests();
        }
        return (seenAvailable - nextAvailable) & INDEX_MASK;
    }

    private int lookForRequests() {
        // §2.7.13: acquire, so that the ring and the descriptors are seen as they were before idx
        int seen = memory.acquireLe16(available + RING_IDX);
        int pending = (seen - nextAvailable) & INDEX_MASK;
        int inFlight = (nextAvailable - nextUsed) & INDEX_MASK;
        if (pending + inFlight > size) {
            throw fault(
                    "the available index is %d ahead, with %d in flight, of %d"
                            .formatted(pending, inFlight, size));
        }
        return seen;
    }

    /// Puts the buffers of the chain that begins at its head into it (§2.7.5).
    private void walk(DescriptorChain chain) {
        long table = descriptors;
        int entries = size;
        int next = chain.head();
        int count = 0;
        boolean indirect = false;
        boolean more = true;
        while (more) {
            if (next >= entries) {
                throw fault("descriptor %d of %d".formatted(next, entries));
            }
            // some drivers make a queue smaller and keep chains as long as it was (§2.7.5.3.1 has
            // the smaller); the limit is there to end a loop
            if (++count > maxSize + 1) {
                throw fault("a chain of more than %d descriptors".formatted(maxSize));
            }
            long descriptor = table + (long) DESCRIPTOR * next;
            long address = memory.readLe64(descriptor);
            long length = Integer.toUnsignedLong(memory.readLe32(descriptor + DESC_LENGTH));
            int flags = memory.readLe16(descriptor + DESC_FLAGS);
            if ((flags & DESC_F_INDIRECT) != 0) {
                checkIndirect(indirect, flags, address, length);
                table = address;
                entries = (int) (length / DESCRIPTOR);
                next = 0;
                indirect = true;
            } else {
                add(chain, address, length, (flags & DESC_F_WRITE) != 0);
                next = memory.readLe16(descriptor + DESC_NEXT);
                more = (flags & DESC_F_NEXT) != 0;
            }
        }
    }

    /// §2.7.5.3.1; whether it is to be written has no meaning (§2.7.5.3.2).
    private void checkIndirect(boolean inIndirect, int flags, long address, long length) {
        if (!indirectAllowed) {
            throw fault("an indirect descriptor, which was not negotiated");
        }
        if (inIndirect) {
            throw fault("an indirect descriptor in an indirect table");
        }
        if ((flags & DESC_F_NEXT) != 0) {
            throw fault("an indirect descriptor with a next one");
        }
        if (length == 0 || length % DESCRIPTOR != 0) {
            throw fault("an indirect table of %d bytes".formatted(length));
        }
        if (length / DESCRIPTOR > MAX_SIZE) {
            throw fault("an indirect table of %d descriptors".formatted(length / DESCRIPTOR));
        }
        if (!memory.holds(address, length)) {
            throw fault("an indirect table at 0x%x+0x%x".formatted(address, length));
        }
    }

    private void add(DescriptorChain chain, long address, long length, boolean writable) {
        if (!writable && chain.writable().count() > 0) {
            throw fault("a buffer to read behind one to write"); // §2.7.4.2
        }
        if (length == 0) {
            return; // nothing to read or write
        }
        if (!memory.holds(address, length)) {
            throw fault("a buffer at 0x%x+0x%x".formatted(address, length));
        }
        if (chain.readable().size() + chain.writable().size() + length > MAX_BYTES) {
            throw fault("a chain of more than 4 GiB"); // §2.7.5
        }
        (writable ? chain.writable() : chain.readable()).add(address, length);
    }

    private void check(String what, long address, int alignment, long length) {
        if (address % alignment != 0) {
            throw fault("%s at 0x%x, which is not aligned".formatted(what, address));
        }
        if (!memory.holds(address, length)) {
            throw fault("%s at 0x%x+0x%x".formatted(what, address, length));
        }
    }

    private GuestFault fault(String what) {
        return new GuestFault("queue %d: %s".formatted(index, what));
    }

    @Override
    public String toString() {
        return "queue " + index;
    }
}
