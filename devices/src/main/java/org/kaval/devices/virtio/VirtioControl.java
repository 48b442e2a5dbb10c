package org.kaval.devices.virtio;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateException;
import org.kaval.devices.StateFields;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.WakeUp;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestMemory;

/// What all transports do with a device: its status (§2.1), the features (§2.2), its queues, its
/// configuration space (§2.5) and its reset (§2.4).
///
/// ```
///   0 ──ACKNOWLEDGE, DRIVER──► features ──FEATURES_OK──► queues ──DRIVER_OK──► active
///   ▲                                                                            │
///   └──────────────────────────── 0: reset, from anywhere ◄──────────────────────┘
/// ```
///
/// Any thread. The driver's steps are guarded by this; a reset holds it until the device has ended
/// what it was doing. So nothing that a device's thread calls takes this lock.
final class VirtioControl implements VirtioLink, Persistent, AutoCloseable {
    static final int ACKNOWLEDGE = 1;
    static final int DRIVER = 1 << 1;
    static final int DRIVER_OK = 1 << 2;
    static final int FEATURES_OK = 1 << 3;
    static final int NEEDS_RESET = 1 << 6;
    static final int FAILED = 1 << 7;

    /// §6: the device is not a legacy one.
    static final long F_VERSION_1 = 1L << 32;

    private static final int FROM_DRIVER = ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | FAILED;
    private static final long OF_TRANSPORT =
            VirtQueue.F_INDIRECT_DESC | VirtQueue.F_EVENT_IDX | F_VERSION_1;

    /// A guest can misbehave for ever; the log is told of the first few times.
    private static final int LOGGED_FAULTS = 16;

    private static final Logger LOG = System.getLogger(VirtioControl.class.getName());

    private final VirtioDevice device;
    private final Notifications notifications;
    private final VirtioHost host;
    private final List<VirtQueue> queues = new ArrayList<>();
    private final List<WakeUp> doorbells = new ArrayList<>();
    private final AtomicInteger status = new AtomicInteger();
    private final Object configLock = new Object();
    private int configGeneration; // guarded by configLock
    private long driverFeatures;
    private boolean active;
    private final AtomicInteger faults = new AtomicInteger();

    /// What a transport tells the driver. Called by any thread, with a device's own locks held or
    /// without.
    interface Notifications {
        /// Buffers of a queue have been used.
        void queueUsed(int index);

        /// Somebody else interrupts the driver for a queue, as {@link VirtioLink#interruptBy} says.
        default void interruptBy(int index, @Nullable InterruptTaker taker) {
            if (taker != null) {
                taker.interruptBy(null);
            }
        }

        /// The configuration space has changed, or the device needs a reset.
        void configChanged();

        /// The device has been reset: nothing is pending, and no vector is set.
        void forget();
    }

    /// Takes over `device`.
    VirtioControl(VirtioDevice device, VirtioHost host, Notifications notifications)
            throws ErrnoException {
        this.device = device;
        this.host = host;
        this.notifications = notifications;
        boolean done = false;
        try {
            for (int size : device.queueSizes()) {
                int index = queues.size();
                queues.add(
                        new VirtQueue(
                                host.memory(),
                                index,
                                size,
                                () -> notifications.queueUsed(index),
                                host.observer()));
                int rings = device.doorbellOf(index);
                doorbells.add(
                        rings < index
                                ? doorbells.get(rings)
                                : WakeUp.create("%s doorbell %d".formatted(device.name(), index)));
            }
            done = true;
        } finally {
            if (!done) {
                doorbells.forEach(WakeUp::close);
            }
        }
        device.attach(this);
    }

    VirtioDevice device() {
        return device;
    }

    int queueCount() {
        return queues.size();
    }

    List<VirtQueue> queues() {
        return List.copyOf(queues);
    }

    @Override
    public GuestMemory memory() {
        return host.memory();
    }

    @Override
    public VirtQueue queue(int index) {
        return queues.get(index);
    }

    @Override
    public WakeUp doorbell(int index) {
        return doorbells.get(index);
    }

    @Override
    public void interruptBy(int index, @Nullable InterruptTaker taker) {
        notifications.interruptBy(index, taker);
    }

    /// The driver has rung without a doorbell of the kernel's.
    void ring(long index) {
        if (index >= 0 && index < queues.size()) {
            doorbells.get((int) index).signal();
        }
    }

    int status() {
        return status.get();
    }

    /// The driver moves on; 0 is a reset, and no bit can be taken back but by that (§2.1.1).
    synchronized void setStatus(int value) {
        if (value == 0) {
            reset();
            observe(() -> "reset");
            return;
        }
        int now = status.get();
        int added = value & FROM_DRIVER & ~now;
        if ((added & FEATURES_OK) != 0 && !areAcceptable(driverFeatures)) {
            added &= ~(FEATURES_OK | DRIVER_OK); // §3.1.1: the driver reads it again to see that
        }
        if ((added & DRIVER_OK) != 0 && ((now | added) & FEATURES_OK) == 0) {
            needsReset(new GuestFault("DRIVER_OK without FEATURES_OK"));
            return;
        }
        int all = status.accumulateAndGet(added, (before, bits) -> before | bits);
        long accepted = driverFeatures;
        observe(() -> "status 0x%02x, features 0x%x".formatted(all, accepted));
        if ((added & DRIVER_OK) != 0 && (all & NEEDS_RESET) == 0) {
            activate();
        }
    }

    private boolean areAcceptable(long features) {
        return (features & ~offeredFeatures()) == 0 && (features & F_VERSION_1) != 0;
    }

    private long offeredFeatures() {
        return device.features() | OF_TRANSPORT;
    }

    private void activate() {
        for (VirtQueue queue : queues) {
            queue.start(driverFeatures);
        }
        active = true;
        device.activate(driverFeatures);
        // §3.1.1: the driver may have added buffers before; their rings were not for us to see
        doorbells.forEach(WakeUp::signal);
    }

    private void reset() {
        queues.forEach(VirtQueue::stop);
        if (active) {
            active = false;
            device.reset();
        }
        queues.forEach(VirtQueue::reset);
        driverFeatures = 0;
        notifications.forget();
        status.set(0);
    }

    /// 32 bits of what is offered.
    ///
    /// @param select which: 0 are the lowest
    int offeredFeatures(int select) {
        return select == 0 || select == 1
                ? (int) (offeredFeatures() >>> (select * Integer.SIZE))
                : 0;
    }

    synchronized int driverFeatures(int select) {
        return select == 0 || select == 1 ? (int) (driverFeatures >>> (select * Integer.SIZE)) : 0;
    }

    /// The driver accepts features, until it has said that these are all.
    synchronized void setDriverFeatures(int select, int bits) {
        if ((status.get() & FEATURES_OK) == 0) {
            driverFeatures =
                    switch (select) {
                        case 0 -> VirtQueue.low(driverFeatures, bits);
                        case 1 -> VirtQueue.high(driverFeatures, bits);
                        default -> driverFeatures;
                    };
        }
    }

    /// The driver enables a queue; a breach is one of the whole device.
    synchronized void enable(VirtQueue queue) {
        if (active) {
            needsReset(new GuestFault("%s is enabled after DRIVER_OK".formatted(queue)));
            return;
        }
        try {
            queue.enable();
        } catch (GuestFault fault) {
            needsReset(fault);
        }
    }

    /// Reads the configuration space.
    long readConfig(long offset, int size) {
        synchronized (configLock) {
            return device.config().get(offset, size);
        }
    }

    /// Writes it.
    void writeConfig(long offset, int size, long value) {
        try {
            device.writeConfig(offset, size, value);
        } catch (GuestFault fault) {
            needsReset(fault);
        }
    }

    /// Changes when the configuration space does (§2.5.1): what a driver reads in several pieces is
    /// of one time if this is the same before and after.
    int configGeneration() {
        synchronized (configLock) {
            return configGeneration;
        }
    }

    @Override
    public void changeConfig(Runnable change) {
        synchronized (configLock) {
            change.run();
            configGeneration++;
        }
        if ((status.get() & DRIVER_OK) != 0) {
            notifications.configChanged();
        }
    }

    @Override
    public void needsReset(GuestFault fault) {
        int before = status.getAndAccumulate(NEEDS_RESET, (now, bits) -> now | bits);
        if ((before & NEEDS_RESET) != 0) {
            return;
        }
        observe(() -> "needs a reset: " + fault.getMessage());
        if (faults.incrementAndGet() <= LOGGED_FAULTS) {
            LOG.log(Level.WARNING, "{0} needs a reset: {1}", device.name(), fault.getMessage());
        }
        queues.forEach(VirtQueue::stop);
        if ((before & DRIVER_OK) != 0) {
            notifications.configChanged(); // §2.1.2
        }
    }

    @Override
    public void hold() {
        queues.forEach(VirtQueue::hold);
        device.hold();
    }

    @Override
    public boolean awaitIdle(long nanos) throws InterruptedException {
        long deadline = System.nanoTime() + nanos;
        for (VirtQueue queue : queues) {
            if (!queue.awaitIdle(deadline)) {
                return false;
            }
        }
        return true;
    }

    @Override
    public void release() {
        queues.forEach(VirtQueue::release);
        device.release();
        doorbells.forEach(WakeUp::signal);
    }

    /// While it is held. Restored, an active device is activated, and stays held.
    @Override
    public synchronized void persist(StateFields state) {
        state.same("type", device.type(), "the type of " + device.name());
        state.same("queues", queues.size(), "the number of queues of " + device.name());
        int all = FROM_DRIVER | NEEDS_RESET;
        int saved = state.number("status", status.get(), 0, all);
        driverFeatures = state.number("features", driverFeatures);
        for (VirtQueue queue : queues) {
            queue.persist(state.part("queue%d".formatted(queue.index())));
        }
        synchronized (configLock) {
            configGeneration =
                    state.number(
                            "generation", configGeneration, Integer.MIN_VALUE, Integer.MAX_VALUE);
        }
        if (state.isRestoring()) {
            goOn(saved);
        }
        device.persist(state.part("device"));
    }

    private void goOn(int saved) {
        if ((saved & FEATURES_OK) != 0 && !areAcceptable(driverFeatures)) {
            throw new StateException(
                    "%s has features 0x%x, and its driver uses 0x%x"
                            .formatted(device.name(), offeredFeatures(), driverFeatures));
        }
        status.set(saved);
        if ((saved & DRIVER_OK) != 0 && (saved & FEATURES_OK) != 0) {
            activate();
            if ((saved & NEEDS_RESET) != 0) {
                queues.forEach(VirtQueue::stop);
            }
        }
    }

    @Override
    public void restored() {
        if ((status.get() & DRIVER_OK) == 0) {
            return;
        }
        for (VirtQueue queue : queues) {
            if (queue.isReady()) {
                notifications.queueUsed(queue.index());
            }
        }
        device.restored();
    }

    private void observe(Supplier<String> text) {
        if (host.observer() != null) {
            host.observer().accept(text);
        }
    }

    @Override
    public void broken(Throwable bug) {
        host.onBug().accept(bug);
    }

    /// Ends the device. The guest may no longer run.
    @Override
    public synchronized void close() {
        reset();
        device.close();
        doorbells.forEach(WakeUp::close);
    }
}
