package org.kaval.devices.virtio;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.StateFields;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Mmap;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestMemory;

/// A memory balloon (§5.5): the guest gives up as much memory as it is asked for, and tells of what
/// it does not use. The host gets that memory back.
///
/// | queue | what the driver puts there                                            |
/// |------:|-----------------------------------------------------------------------|
/// |     0 | numbers of pages that it gives up, 4 bytes each                       |
/// |     1 | those that it takes back, which needs no leave: it finds zeroes there |
/// |     2 | a buffer with statistics; it makes new ones when it gets it back      |
/// |     3 | free pages, for a driver that counts only queues it has, as Linux     |
/// |     4 | free pages, for one that counts as §5.5.2 does                        |
///
/// Any thread may ask. What the driver says is checked: a page that is no RAM is a {@link
/// GuestFault}.
public final class VirtioBalloon extends LinkedDevice {
    static final long F_STATS_VQ = 1L << 1;
    static final long F_DEFLATE_ON_OOM = 1L << 2;
    static final long F_REPORTING = 1L << 5;

    /// How many descriptors a queue has.
    static final int QUEUE_SIZE = 128;

    static final int INFLATE = 0;
    static final int DEFLATE = 1;
    static final int STATISTICS = 2;
    static final int REPORTING = 3;
    static final int QUEUES = 5;

    /// How many pages a request may name: 256 MiB. More would keep a reset waiting.
    static final int MAX_PAGES = 1 << 16;

    private static final int TYPE = 5;
    private static final int PAGE_SHIFT = 12; // of the numbers of pages, whatever the guest has
    private static final int PAGE_NUMBER = 4;
    private static final int STATISTIC = 10; // le16 tag; le64 value
    private static final int MAX_STATISTICS =
            64; // of which those of later specifications are skipped

    // struct virtio_balloon_config (§5.5.4)
    private static final int CONFIG_SIZE = 8;
    private static final int NUM_PAGES = 0;
    private static final int ACTUAL = 4;

    private static final Logger LOG = System.getLogger(VirtioBalloon.class.getName());

    private final ConfigSpace config = new ConfigSpace(CONFIG_SIZE);
    private final long[] values = new long[BalloonStatistics.TAGS]; // guarded by this
    private @Nullable DeviceThread thread; // who activates and resets
    private volatile long targetPages;
    private volatile long actualPages; // as the driver says
    private boolean asked; // for statistics; guarded by this
    private boolean awaited; // statistics, from the driver; guarded by this
    private long answers; // guarded by this
    private boolean refused; // by the host, which is said once; the device's thread

    /// @param name for threads and messages
    public VirtioBalloon(String name) {
        super(name);
    }

    @Override
    public int type() {
        return TYPE;
    }

    @Override
    public long features() {
        return F_STATS_VQ | F_DEFLATE_ON_OOM | F_REPORTING;
    }

    @Override
    public List<Integer> queueSizes() {
        return Collections.nCopies(QUEUES, QUEUE_SIZE);
    }

    @Override
    public int doorbellOf(int index) {
        return 0;
    }

    @Override
    public ConfigSpace config() {
        return config;
    }

    @Override
    public void writeConfig(long offset, int size, long value) {
        if (offset == ACTUAL && size == Integer.BYTES) {
            actualPages = value & 0xffff_ffffL;
            config.set(ACTUAL, Integer.BYTES, value);
        }
    }

    /// Asks the guest to give up so much memory, instead of what it was asked for before. It does
    /// so as it can; if it runs out of memory, it takes some back by itself.
    ///
    /// @param bytes whole pages of 4 KiB, 0 to 16 TiB
    public void setTarget(long bytes) {
        long pages = bytes >> PAGE_SHIFT;
        if (!isTarget(bytes)) {
            throw new IllegalArgumentException("no size of a balloon: %d bytes".formatted(bytes));
        }
        Runnable change =
                () -> {
                    targetPages = pages;
                    config.set(NUM_PAGES, Integer.BYTES, pages);
                };
        changeConfig(change);
    }

    /// Whether a guest can be asked for so many bytes: whole pages, up to 16 TiB.
    public static boolean isTarget(long bytes) {
        long pages = bytes >> PAGE_SHIFT;
        return bytes >= 0 && pages << PAGE_SHIFT == bytes && pages <= 0xffff_ffffL;
    }

    /// How much the guest has been asked for, in bytes.
    public long target() {
        return targetPages << PAGE_SHIFT;
    }

    /// How much the guest says it has given up, in bytes.
    public long size() {
        return actualPages << PAGE_SHIFT;
    }

    /// Asks the guest how it uses its memory.
    ///
    /// @param limit how long to wait for its answer
    /// @return empty if it has not answered by then, as one without a driver does not
    public synchronized Optional<BalloonStatistics> statistics(Duration limit)
            throws InterruptedException {
        VirtioLink attached = link();
        long end = System.nanoTime() + limit.toNanos();
        long before = answers;
        asked = true;
        attached.doorbell(0).signal();
        while (answers == before) {
            long left = end - System.nanoTime();
            if (left <= 0) {
                return Optional.empty();
            }
            TimeUnit.NANOSECONDS.timedWait(this, left);
        }
        return Optional.of(BalloonStatistics.of(values));
    }

    @Override
    public void activate(long features) {
        VirtioLink attached = link();
        synchronized (this) {
            awaited = true; // §5.5.6.3.1: the driver adds a buffer without being asked
        }
        var work = new Work(attached);
        thread = DeviceThread.start(name(), attached, work::step);
    }

    @Override
    public void reset() {
        if (thread != null) {
            thread.close();
            thread = null;
        }
        actualPages = 0;
        config.set(ACTUAL, Integer.BYTES, 0);
    }

    @Override
    public void persist(StateFields state) {
        // what is asked for is the host's to say, and the driver compares it with what it has
        targetPages = state.number("target", targetPages, 0, 0xffff_ffffL);
        actualPages = state.number("actual", actualPages, 0, 0xffff_ffffL);
        config.set(NUM_PAGES, Integer.BYTES, targetPages).set(ACTUAL, Integer.BYTES, actualPages);
        synchronized (this) {
            awaited = state.flag("awaited", awaited);
        }
    }

    @Override
    public void close() {}

    /// What the device's thread does with its queues.
    final class Work {
        private final VirtioLink attached;
        private final GuestMemory memory;
        private final DescriptorChain request;
        private long from; // pages that are given up together
        private long to;

        Work(VirtioLink attached) {
            this.attached = attached;
            this.memory = attached.memory();
            this.request = new DescriptorChain(memory);
        }

        /// Looks at each queue once.
        boolean step() {
            boolean more = false;
            for (int i = 0; i < QUEUES; i++) {
                VirtQueue queue = attached.queue(i);
                if (i == STATISTICS) {
                    more |= exchangeStatistics(queue);
                } else if (queue.takeOrAwait(request)) {
                    perform(i, request);
                    queue.complete(request, 0);
                    more = true;
                }
            }
            return more;
        }

        void perform(int queue, DescriptorChain what) {
            switch (queue) {
                case INFLATE -> giveUp(what.readable());
                case DEFLATE -> {} // the host brings the pages when they are touched
                default -> reportFree(what.writable());
            }
        }

        /// Neighbours are given back at once, whichever way the driver counts.
        private void giveUp(GuestBuffers numbers) {
            if (numbers.size() % PAGE_NUMBER != 0 || numbers.size() / PAGE_NUMBER > MAX_PAGES) {
                throw new GuestFault("%d bytes of page numbers".formatted(numbers.size()));
            }
            from = 0;
            to = 0;
            for (long at = 0; at < numbers.size(); at += PAGE_NUMBER) {
                long page = Integer.toUnsignedLong(numbers.readLe32(at)) << PAGE_SHIFT;
                if (!memory.holds(page, Mmap.PAGE_SIZE)) {
                    throw new GuestFault("a page at 0x%x, which is no RAM".formatted(page));
                }
                if (page == to && memory.holds(from, to + Mmap.PAGE_SIZE - from)) {
                    to += Mmap.PAGE_SIZE;
                } else if (page + Mmap.PAGE_SIZE == from && memory.holds(page, to - page)) {
                    from = page;
                } else {
                    discard();
                    from = page;
                    to = page + Mmap.PAGE_SIZE;
                }
            }
            discard();
        }

        /// §5.5.6.7: each buffer is free memory, of which only whole pages can be given back.
        private void reportFree(GuestBuffers free) {
            for (int i = 0; i < free.count(); i++) {
                long end = free.address(i) + free.length(i);
                from = (free.address(i) + Mmap.PAGE_SIZE - 1) & -Mmap.PAGE_SIZE;
                to = end & -Mmap.PAGE_SIZE;
                discard();
            }
        }

        private void discard() {
            if (from >= to) {
                return;
            }
            try {
                memory.discard(from, to - from);
            } catch (ErrnoException e) {
                if (!refused) {
                    refused = true;
                    LOG.log(Level.WARNING, "{0}: {1}", name(), e.getMessage());
                }
            }
        }

        /// There is one buffer, which stays in the queue until somebody asks: so nothing is in
        /// flight while nobody does.
        private boolean exchangeStatistics(VirtQueue queue) {
            synchronized (VirtioBalloon.this) {
                if (!awaited && !asked) {
                    return false;
                }
                if (!queue.takeOrAwait(request)) {
                    return false;
                }
                if (awaited) {
                    keep(request.readable());
                    queue.putBack();
                    awaited = false;
                } else {
                    queue.complete(request, 0);
                    awaited = true;
                }
                asked = false;
                return true;
            }
        }

        /// Called with the balloon's lock.
        void keep(GuestBuffers statistics) {
            Arrays.fill(values, -1);
            long count = Math.min(statistics.size() / STATISTIC, MAX_STATISTICS);
            for (long i = 0; i < count; i++) {
                long at = i * STATISTIC;
                int tag = statistics.readByte(at) | statistics.readByte(at + 1) << Byte.SIZE;
                if (tag < values.length) {
                    values[tag] = statistics.readLe64(at + 2);
                }
            }
            answers++;
            VirtioBalloon.this.notifyAll();
        }
    }
}
