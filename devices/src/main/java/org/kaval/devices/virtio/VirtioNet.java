package org.kaval.devices.virtio;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.RateLimit;
import org.kaval.devices.StateFields;
import org.kaval.devices.net.NetBackend;
import org.kaval.devices.net.NetTraffic;
import org.kaval.devices.net.PcapFile;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.IoVector;

/// A network device (§5.1): frames go from the guest's memory to a {@link NetBackend} and back,
/// each pair of queues with a thread for either direction, or by the host's kernel ({@link
/// NetPairs}).
///
/// ```
/// queue 0   receive, pair 0      queue 2N - 2   receive, pair N - 1
/// queue 1   transmit, pair 0     queue 2N - 1   transmit, pair N - 1      queue 2N   control
/// ```
///
/// A driver without `VIRTIO_NET_F_MQ` has its control queue in place 2 (§5.1.2). What the back end
/// can do of checksums and large frames is offered to the driver, and nothing else: none of it is
/// done here.
///
/// {@link #setLink} may be called by any thread.
public final class VirtioNet extends LinkedDevice {
    static final long F_CSUM = 1;
    static final long F_GUEST_CSUM = 1L << 1;
    static final long F_CTRL_GUEST_OFFLOADS = 1L << 2;
    static final long F_MTU = 1L << 3;
    static final long F_MAC = 1L << 5;
    static final long F_GUEST_TSO4 = 1L << 7;
    static final long F_GUEST_TSO6 = 1L << 8;
    static final long F_GUEST_ECN = 1L << 9;
    static final long F_GUEST_UFO = 1L << 10;
    static final long F_HOST_TSO4 = 1L << 11;
    static final long F_HOST_TSO6 = 1L << 12;
    static final long F_HOST_ECN = 1L << 13;
    static final long F_HOST_UFO = 1L << 14;
    static final long F_MRG_RXBUF = 1L << 15;
    static final long F_STATUS = 1L << 16;
    static final long F_CTRL_VQ = 1L << 17;
    static final long F_CTRL_RX = 1L << 18;
    static final long F_CTRL_VLAN = 1L << 19;
    static final long F_CTRL_RX_EXTRA = 1L << 20;
    static final long F_GUEST_ANNOUNCE = 1L << 21;
    static final long F_MQ = 1L << 22;
    static final long F_CTRL_MAC_ADDR = 1L << 23;

    /// The most pairs of queues.
    public static final int MAX_PAIRS = 32;

    /// The smallest MTU (IPv4's) and the largest.
    public static final int MIN_MTU = 68;

    public static final int MAX_MTU = 65_535;

    /// How many descriptors a queue has.
    static final int QUEUE_SIZE = 256;

    private static final int TYPE = 1;
    private static final int PCI_ETHERNET = 0x02_0000;

    // struct virtio_net_config (§5.1.4)
    private static final int CONFIG_SIZE = 12;
    private static final int STATUS = 6;
    private static final int MAX_VIRTQUEUE_PAIRS = 8;
    private static final int MTU = 10;
    private static final int LINK_UP = 1;
    private static final int DO_ANNOUNCE = 2;

    private static final int LOGGED_REFUSALS = 4;
    private static final Logger LOG = System.getLogger(VirtioNet.class.getName());

    private final NetBackend backend;
    private final Options options;
    private final ConfigSpace config = new ConfigSpace(CONFIG_SIZE);
    private final RateLimit receiveLimit;
    private final RateLimit sendLimit;
    private final NetFilter filter = new NetFilter();
    private final NetCounters received = new NetCounters();
    private final NetCounters sent = new NetCounters();
    private final NetPairs pairs;
    private @Nullable QueueThreads control; // who activates and resets
    private volatile boolean linkUp = true; // as its user wants it, and the other end is there
    private boolean wanted = true; // guarded by this
    private boolean connected; // guarded by this
    private boolean announcing; // guarded by this
    private long driverFeatures; // who activates
    private volatile int refusals; // of the host's, as far as they are logged

    /// How a network device is.
    ///
    /// @param mac the address as a number, the first byte the highest
    /// @param mtu {@link #MIN_MTU} to {@link #MAX_MTU}; 0 to say nothing of it
    /// @param frames how many frames pass in a second, in either direction
    /// @param bytes how many bytes pass
    /// @param pcap where frames are taken down; closed with the device
    public record Options(
            long mac,
            int mtu,
            RateLimit.Rate frames,
            RateLimit.Rate bytes,
            @Nullable PcapFile pcap) {
        public Options {
            if (mac >>> 48 != 0 || (mac & (1L << 40)) != 0 || mac == 0) {
                throw new IllegalArgumentException("no address of a device: %012x".formatted(mac));
            }
            if (mtu != 0 && (mtu < MIN_MTU || mtu > MAX_MTU)) {
                throw new IllegalArgumentException(
                        "an MTU of %d; %d to %d are possible".formatted(mtu, MIN_MTU, MAX_MTU));
            }
        }

        /// Whether the host's kernel can do that.
        public boolean isForVhost() {
            return frames.equals(RateLimit.Rate.UNLIMITED)
                    && bytes.equals(RateLimit.Rate.UNLIMITED)
                    && pcap == null;
        }

        /// One without limits.
        public static Options of(long mac) {
            return new Options(mac, 0, RateLimit.Rate.UNLIMITED, RateLimit.Rate.UNLIMITED, null);
        }
    }

    /// Makes a device with `backend`, which it takes over.
    ///
    /// @param name for threads and messages
    public VirtioNet(String name, NetBackend backend, Options options) {
        if (backend.queues() > MAX_PAIRS) {
            throw new IllegalArgumentException(backend.queues() + " pairs of queues");
        }
        if (backend.vhost(0) != null && !options.isForVhost()) {
            throw new IllegalArgumentException("vhost-net knows no limits and takes nothing down");
        }
        super(name);
        this.backend = backend;
        this.pairs = new NetPairs(this, backend);
        this.options = options;
        receiveLimit = new RateLimit(options.frames, options.bytes, System::nanoTime);
        sendLimit = new RateLimit(options.frames, options.bytes, System::nanoTime);
        config.set(MAX_VIRTQUEUE_PAIRS, Short.BYTES, backend.queues())
                .set(MTU, Short.BYTES, options.mtu);
        showMac(options.mac);
    }

    private void showMac(long mac) {
        for (int i = 0; i < NetFilter.MAC; i++) {
            config.set(i, 1, mac >>> (Byte.SIZE * (NetFilter.MAC - 1 - i)));
        }
    }

    @Override
    public int type() {
        return TYPE;
    }

    @Override
    public int pciClass() {
        return PCI_ETHERNET;
    }

    @Override
    public long features() {
        int offloads = backend.offloads();
        return F_MAC
                | F_MRG_RXBUF
                | F_STATUS
                | F_CTRL_VQ
                | F_CTRL_RX
                | F_CTRL_VLAN
                | F_CTRL_RX_EXTRA
                | F_CTRL_MAC_ADDR
                | F_GUEST_ANNOUNCE
                | (options.mtu != 0 ? F_MTU : 0)
                | (backend.queues() > 1 ? F_MQ : 0)
                | (offloads == 0 ? 0 : F_CTRL_GUEST_OFFLOADS)
                | when(offloads, NetBackend.CHECKSUM, F_CSUM | F_GUEST_CSUM)
                | when(offloads, NetBackend.TSO4, F_HOST_TSO4 | F_GUEST_TSO4)
                | when(offloads, NetBackend.TSO6, F_HOST_TSO6 | F_GUEST_TSO6)
                | when(offloads, NetBackend.ECN, F_HOST_ECN | F_GUEST_ECN)
                | when(offloads, NetBackend.UFO, F_HOST_UFO | F_GUEST_UFO);
    }

    private static long when(int offloads, int offload, long features) {
        return (offloads & offload) != 0 ? features : 0;
    }

    @Override
    public List<Integer> queueSizes() {
        return Collections.nCopies(2 * backend.queues() + 1, QUEUE_SIZE);
    }

    @Override
    public ConfigSpace config() {
        return config;
    }

    @Override
    public void attach(VirtioLink newLink) {
        super.attach(newLink);
        backend.onLink(this::setConnected);
        if (pairs.areForKernel()) {
            newLink.memory().addUnseenWriter(pairs::track);
        }
    }

    @Override
    public void activate(long features) {
        VirtioLink attached = link();
        driverFeatures = features;
        filter.reset(options.mac, (features & F_CTRL_VLAN) != 0);
        receiveLimit.resume();
        sendLimit.resume();
        setOffloads(features);
        pairs.begin(attached, features);
        if ((features & F_CTRL_VQ) != 0) {
            int index = (features & F_MQ) != 0 ? 2 * backend.queues() : 2;
            control =
                    QueueThreads.start(
                            name() + "-control",
                            attached,
                            index,
                            1,
                            () -> new NetControl(this, features));
        }
    }

    /// Uses so many pairs of queues.
    ///
    /// @return whether there are so many
    boolean setPairs(int count) {
        if (count < 1 || count > backend.queues()) {
            return false;
        }
        return pairs.use(count);
    }

    /// Says which offloads frames for the guest may have.
    ///
    /// @param features `VIRTIO_NET_F_GUEST_…`, and others
    /// @return whether the driver may have them
    boolean setOffloads(long features) {
        long guest = F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN | F_GUEST_UFO;
        if ((features & guest & ~driverFeatures) != 0) {
            return false;
        }
        backend.allow(
                offload(features, F_GUEST_CSUM, NetBackend.CHECKSUM)
                        | offload(features, F_GUEST_TSO4, NetBackend.TSO4)
                        | offload(features, F_GUEST_TSO6, NetBackend.TSO6)
                        | offload(features, F_GUEST_ECN, NetBackend.ECN)
                        | offload(features, F_GUEST_UFO, NetBackend.UFO));
        return true;
    }

    private static int offload(long features, long feature, int offload) {
        return (features & feature) != 0 ? offload : 0;
    }

    @Override
    public void reset() {
        receiveLimit.cancel();
        sendLimit.cancel();
        if (control != null) {
            control.close();
            control = null;
        }
        pairs.end();
        showMac(options.mac);
        announced();
    }

    @Override
    public void hold() {
        pairs.hold();
    }

    @Override
    public void release() {
        pairs.release();
    }

    @Override
    public void persist(StateFields state) {
        int used = state.number("pairs", pairs.used(), 0, backend.queues());
        filter.persist(state.part("filter"));
        if (state.isRestoring() && used > 0) {
            setPairs(used);
            showMac(filter.address());
        }
    }

    /// The network may be another one: the driver tells it that it is here.
    @Override
    public void restored() {
        if ((driverFeatures & F_GUEST_ANNOUNCE) != 0) {
            synchronized (this) {
                announcing = true;
            }
            changeConfig(this::showStatus);
        }
    }

    /// The driver has told the network.
    boolean announced() {
        synchronized (this) {
            announcing = false;
        }
        showStatus();
        return true;
    }

    /// The driver has another address.
    void setMac(long mac) {
        filter.setAddress(mac);
        showMac(mac);
    }

    /// Pulls the cable out, or puts it in; the driver hears of it.
    public void setLink(boolean up) {
        synchronized (this) {
            wanted = up;
        }
        linkChanged();
    }

    private void setConnected(boolean now) {
        synchronized (this) {
            connected = now;
        }
        linkChanged();
        VirtioLink attached = link();
        for (int i = 0; i < backend.queues(); i++) {
            attached.doorbell(2 * i + 1).signal(); // who sends may be waiting for who has gone
        }
    }

    private void linkChanged() {
        changeConfig(this::showStatus);
        if (pairs.areForKernel()) { // a thread that serves may have called
            pairs.linkChanged();
        }
    }

    private synchronized void showStatus() {
        linkUp = wanted && connected;
        config.set(STATUS, Short.BYTES, (linkUp ? LINK_UP : 0) | (announcing ? DO_ANNOUNCE : 0));
    }

    /// Whether frames pass.
    public boolean isLinkUp() {
        return linkUp;
    }

    /// What of this process's threads the guest has received.
    public NetCounters received() {
        return received;
    }

    /// What it has sent by them.
    public NetCounters sent() {
        return sent;
    }

    /// What has passed, whoever has moved it. With vhost-net, it is what the host's kernel counts,
    /// which does not know what was filtered here meanwhile.
    public NetTraffic traffic() {
        NetTraffic kernels = backend.traffic();
        return kernels != null ? kernels : new NetTraffic(received.total(), sent.total());
    }

    NetPairs pairs() {
        return pairs;
    }

    NetFilter filter() {
        return filter;
    }

    RateLimit receiveLimit() {
        return receiveLimit;
    }

    RateLimit sendLimit() {
        return sendLimit;
    }

    /// Takes down bytes `from` to `from + length` of a frame, if that is wanted.
    void takeDown(IoVector frame, long from, long length) {
        if (options.pcap != null) {
            options.pcap.add(frame, from, length);
        }
    }

    /// The host has refused a frame of the guest's: that is said a few times.
    void refused(ErrnoException why) {
        int before = refusals;
        if (before < LOGGED_REFUSALS) {
            refusals = before + 1;
            LOG.log(Level.WARNING, "{0}: a frame is lost: {1}", name(), why.getMessage());
        }
    }

    @Override
    public void close() {
        backend.close();
        if (options.pcap != null) {
            options.pcap.close();
        }
    }
}
