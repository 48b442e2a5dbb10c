package org.kaval.devices.virtio;

import org.kaval.devices.Threads;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.WakeUp;
import org.kaval.memory.GuestFault;

/// One thread that serves all queues of a device, for work that does not block: it looks at all of
/// them each time that it is woken.
///
/// Made and closed by one thread at a time.
final class DeviceThread implements AutoCloseable {
    private final VirtioLink link;
    private final WakeUp wakeUp;
    private final Work work;
    private final Waiting waiting;
    private final Thread thread;
    private volatile boolean stopping;

    /// What is to be done.
    @FunctionalInterface
    interface Work {
        /// Does a little, and asks to be woken for more ({@link VirtQueue#awaitRequest}).
        ///
        /// @return whether there is more to do now
        /// @throws GuestFault if the driver has broken the rules
        boolean step();
    }

    /// How it waits for more to do.
    @FunctionalInterface
    interface Waiting {
        /// Waits for the doorbell, and for what else there is.
        ///
        /// @param busy whether there is more to do now: then it only looks
        void await(boolean busy) throws ErrnoException;
    }

    private DeviceThread(String name, VirtioLink link, Work work, Waiting waiting) {
        this.link = link;
        this.wakeUp = link.doorbell(0);
        this.work = work;
        this.waiting = waiting;
        this.thread = Thread.ofPlatform().name(name).daemon().unstarted(this::run);
    }

    /// Starts it. The doorbell of queue 0 wakes it, which is the one of all queues.
    static DeviceThread start(String name, VirtioLink link, Work work) {
        WakeUp doorbell = link.doorbell(0);
        return start(
                name,
                link,
                work,
                busy -> {
                    if (!busy) {
                        doorbell.await(-1);
                    }
                });
    }

    /// Starts one that waits for other things, too.
    static DeviceThread start(String name, VirtioLink link, Work work, Waiting waiting) {
        var started = new DeviceThread(name, link, work, waiting);
        started.thread.start();
        return started;
    }

    private void run() {
        try {
            while (!stopping) {
                waiting.await(step());
            }
        } catch (Throwable bug) { // the thread's last frame: the machine has to hear of it
            link.broken(bug);
        }
    }

    private boolean step() {
        try {
            return work.step();
        } catch (GuestFault fault) {
            link.needsReset(fault);
            return false;
        }
    }

    /// Ends it, after the step that it is at.
    @Override
    public void close() {
        stopping = true;
        wakeUp.signal();
        Threads.join(thread);
    }
}
