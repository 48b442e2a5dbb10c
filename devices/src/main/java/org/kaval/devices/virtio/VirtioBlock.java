package org.kaval.devices.virtio;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Supplier;
import org.kaval.devices.RateLimit;
import org.kaval.devices.StateFields;
import org.kaval.devices.block.BlockImage;
import org.kaval.devices.block.RingAccess;

/// A disk (§5.2): sectors of 512 bytes.
///
/// Each queue has threads of its own, which read and write the image straight from and to guest
/// memory; see {@link BlockRequests}. Whether the driver's writes are on the disk when they are
/// done is the driver's to say (§5.2.6.2): with a cache it asks for flushes.
///
/// The disk can grow while it is in use: {@link #grow}. Any thread.
public final class VirtioBlock extends LinkedDevice {
    static final int SECTOR = 512;

    /// How many descriptors a queue has.
    static final int QUEUE_SIZE = 256;

    // §5.2.6.1: limits of discard and write zeroes; what is larger, the driver cuts up
    static final int MAX_SEGMENTS = 32;
    static final int MAX_SECTORS_OF_SEGMENT = 1 << 22; // 2 GiB

    static final long F_SEG_MAX = 1L << 2;
    static final long F_RO = 1L << 5;
    static final long F_BLK_SIZE = 1L << 6;
    static final long F_FLUSH = 1L << 9;
    static final long F_TOPOLOGY = 1L << 10;
    static final long F_CONFIG_WCE = 1L << 11;
    static final long F_MQ = 1L << 12;
    static final long F_DISCARD = 1L << 13;
    static final long F_WRITE_ZEROES = 1L << 14;

    private static final int TYPE = 2;
    private static final int PCI_MASS_STORAGE = 0x01_8000;
    private static final int MAX_QUEUES = 64;

    /// How many requests of a queue are in the host's hands at most.
    private static final int THREADS = 16;

    // struct virtio_blk_config (§5.2.4)
    private static final int CONFIG_SIZE = 60;
    private static final int CAPACITY = 0;
    private static final int SEG_MAX = 12;
    private static final int BLK_SIZE = 20;
    private static final int PHYSICAL_BLOCK_EXP = 24;
    private static final int OPT_IO_SIZE = 28;
    private static final int WRITEBACK = 32;
    private static final int NUM_QUEUES = 34;
    private static final int MAX_DISCARD_SECTORS = 36;
    private static final int MAX_DISCARD_SEG = 40;
    private static final int DISCARD_SECTOR_ALIGNMENT = 44;
    private static final int MAX_WRITE_ZEROES_SECTORS = 48;
    private static final int MAX_WRITE_ZEROES_SEG = 52;
    private static final int WRITE_ZEROES_MAY_UNMAP = 56;

    /// 4 KiB, which file systems and disks of today have.
    private static final int PHYSICAL_BLOCK_SHIFT = 3;

    private static final int OPTIMAL_BLOCKS = 2048; // 1 MiB

    private static final Logger LOG = System.getLogger(VirtioBlock.class.getName());

    private final BlockImage image;
    private final Options options;
    private final RateLimit limit;
    private final ConfigSpace config = new ConfigSpace(CONFIG_SIZE);
    private final List<QueueService> services = new ArrayList<>(); // who activates and resets
    private final LongAdder reads = new LongAdder();
    private final LongAdder readBytes = new LongAdder();
    private final LongAdder writes = new LongAdder();
    private final LongAdder writtenBytes = new LongAdder();
    private volatile long sectors;
    private volatile boolean cached;
    private boolean mayChangeCache; // who activates and writes the configuration

    /// Who waits for the host's disk.
    public enum Engine {
        /// As many threads as requests wait, up to 16 for a queue.
        THREADS,

        /// The kernel: a thread for a queue, with a ring. Where the kernel does not have or allow
        /// it, the image is not a file as it is, or there is a limit, threads nevertheless.
        IO_URING
    }

    /// How a disk is.
    ///
    /// @param serial what the driver can ask for: at most 20 characters of ASCII
    /// @param queues 1 to 64; one for each vCPU lets them not disturb each other
    /// @param operations how many requests pass
    /// @param bytes how much data passes
    /// @param engine who waits for the host's disk
    public record Options(
            String serial,
            int queues,
            RateLimit.Rate operations,
            RateLimit.Rate bytes,
            Engine engine) {
        /// One queue, without serial number or limits.
        public static final Options DEFAULT =
                new Options(
                        "", 1, RateLimit.Rate.UNLIMITED, RateLimit.Rate.UNLIMITED, Engine.THREADS);

        public Options {
            if (serial.length() > BlockRequests.ID_SIZE
                    || serial.chars().anyMatch(each -> each < ' ' || each > '~')) {
                throw new IllegalArgumentException(
                        "a serial number has at most %d characters of ASCII: '%s'"
                                .formatted(BlockRequests.ID_SIZE, serial));
            }
            if (queues < 1 || queues > MAX_QUEUES) {
                throw new IllegalArgumentException(
                        "%d queues; 1 to %d are possible".formatted(queues, MAX_QUEUES));
            }
        }

        /// Whether there is a limit of operations or of bytes.
        public boolean isLimited() {
            return operations.perSecond() != 0 || bytes.perSecond() != 0;
        }

        public Options withSerial(String value) {
            return new Options(value, queues, operations, bytes, engine);
        }

        public Options withQueues(int value) {
            return new Options(serial, value, operations, bytes, engine);
        }

        public Options withOperations(RateLimit.Rate value) {
            return new Options(serial, queues, value, bytes, engine);
        }

        public Options withBytes(RateLimit.Rate value) {
            return new Options(serial, queues, operations, value, engine);
        }

        public Options withEngine(Engine value) {
            return new Options(serial, queues, operations, bytes, value);
        }
    }

    /// Makes a disk of `image`, which it takes over.
    ///
    /// @param name for threads and messages
    public VirtioBlock(String name, BlockImage image, Options options) {
        super(name);
        this.image = image;
        this.options = options;
        this.limit = new RateLimit(options.operations, options.bytes, System::nanoTime);
        sectors = image.size() / SECTOR;
        config.set(CAPACITY, Long.BYTES, sectors)
                .set(SEG_MAX, Integer.BYTES, QUEUE_SIZE - 2)
                .set(BLK_SIZE, Integer.BYTES, SECTOR)
                .set(PHYSICAL_BLOCK_EXP, 1, PHYSICAL_BLOCK_SHIFT)
                .set(OPT_IO_SIZE, Integer.BYTES, OPTIMAL_BLOCKS)
                .set(WRITEBACK, 1, 1)
                .set(NUM_QUEUES, Short.BYTES, options.queues)
                .set(MAX_DISCARD_SECTORS, Integer.BYTES, MAX_SECTORS_OF_SEGMENT)
                .set(MAX_DISCARD_SEG, Integer.BYTES, MAX_SEGMENTS)
                .set(DISCARD_SECTOR_ALIGNMENT, Integer.BYTES, 1 << PHYSICAL_BLOCK_SHIFT)
                .set(MAX_WRITE_ZEROES_SECTORS, Integer.BYTES, MAX_SECTORS_OF_SEGMENT)
                .set(MAX_WRITE_ZEROES_SEG, Integer.BYTES, MAX_SEGMENTS)
                .set(WRITE_ZEROES_MAY_UNMAP, 1, 1);
    }

    @Override
    public int type() {
        return TYPE;
    }

    @Override
    public int pciClass() {
        return PCI_MASS_STORAGE;
    }

    @Override
    public long features() {
        long always = F_SEG_MAX | F_BLK_SIZE | F_TOPOLOGY;
        long queues = options.queues > 1 ? F_MQ : 0;
        long writes = F_FLUSH | F_CONFIG_WCE | F_DISCARD | F_WRITE_ZEROES;
        return always | queues | (image.readOnly() ? F_RO : writes);
    }

    @Override
    public List<Integer> queueSizes() {
        return Collections.nCopies(options.queues, QUEUE_SIZE);
    }

    @Override
    public ConfigSpace config() {
        return config;
    }

    /// §5.2.5: the driver switches the cache on or off, if it has said that it would.
    @Override
    public void writeConfig(long offset, int size, long value) {
        if (offset == WRITEBACK && size == 1 && mayChangeCache) {
            cached = (value & 1) != 0;
            config.set(WRITEBACK, 1, value & 1);
        }
    }

    @Override
    public void activate(long features) {
        VirtioLink attached = link();
        // §5.2.6.2: who does not know flushes wants its writes to be on the disk
        cached = (features & F_FLUSH) != 0;
        mayChangeCache = (features & F_CONFIG_WCE) != 0;
        config.set(WRITEBACK, 1, cached ? 1 : 0);
        limit.resume();
        for (int i = 0; i < options.queues; i++) {
            services.add(serve(attached, i));
        }
    }

    /// Rate limits need threads, which wait for them.
    private QueueService serve(VirtioLink attached, int queue) {
        String title = "%s-q%d".formatted(name(), queue);
        Supplier<BlockRequests> handlers =
                () -> new BlockRequests(this, image, limit, options.serial);
        RingAccess rings = options.engine == Engine.IO_URING ? image.rings() : null;
        Optional<QueueService> ring =
                rings != null && !options.isLimited()
                        ? BlockRing.start(title, attached, queue, rings, handlers)
                        : Optional.empty();
        return ring.orElseGet(
                () -> QueueThreads.start(title, attached, queue, THREADS, handlers::get));
    }

    @Override
    public void reset() {
        limit.cancel();
        services.forEach(QueueService::close);
        services.clear();
        mayChangeCache = false;
        config.set(WRITEBACK, 1, 1);
    }

    @Override
    public void persist(StateFields state) {
        state.same("sectors", sectors, "the number of sectors of " + name());
        cached = state.flag("cached", cached);
        mayChangeCache = state.flag("mayChangeCache", mayChangeCache);
        config.set(WRITEBACK, 1, cached ? 1 : 0);
    }

    /// What it has done since it was made.
    ///
    /// @param reads requests that have succeeded
    /// @param readBytes in these
    /// @param writes the same of writes
    /// @param writtenBytes the same
    public record Statistics(long reads, long readBytes, long writes, long writtenBytes) {}

    /// Counted while requests go on: the numbers may be of moments that differ a little.
    public Statistics statistics() {
        return new Statistics(reads.sum(), readBytes.sum(), writes.sum(), writtenBytes.sum());
    }

    void countRead(long bytes) {
        reads.increment();
        readBytes.add(bytes);
    }

    void countWrite(long bytes) {
        writes.increment();
        writtenBytes.add(bytes);
    }

    /// How many bytes the disk has.
    public long size() {
        return sectors * SECTOR;
    }

    /// How many sectors there are.
    long sectors() {
        return sectors;
    }

    /// Whether writes may stay in a cache until a flush.
    boolean isCached() {
        return cached;
    }

    /// Makes the disk larger, and tells the driver.
    ///
    /// @param bytes a multiple of 512, not less than it has
    /// @throws IllegalArgumentException if it is; what is in use cannot be cut off
    public synchronized void grow(long bytes) throws IOException {
        if (bytes < image.size() || bytes % SECTOR != 0) {
            throw new IllegalArgumentException(
                    "%s has %d bytes and cannot have %d".formatted(name(), image.size(), bytes));
        }
        image.resize(bytes);
        Runnable change =
                () -> {
                    sectors = bytes / SECTOR;
                    config.set(CAPACITY, Long.BYTES, sectors);
                };
        changeConfig(change);
    }

    @Override
    public void close() {
        try {
            image.close();
        } catch (IOException e) {
            // the guest is gone, and whoever closes the machine can do nothing about it
            LOG.log(Level.ERROR, "{0}: {1}", name(), e.getMessage());
        }
    }
}
