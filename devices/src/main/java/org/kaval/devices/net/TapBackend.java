package org.kaval.devices.net;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.linux.IoVector;
import org.kaval.linux.Tap;

/// A tap device of the host's, whose kernel takes frames with the guest's own headers: checksums
/// and the cutting of large frames are left to whoever needs them.
///
/// What a header says is the host kernel's to check; it refuses what it does not like.
public final class TapBackend implements NetBackend {
    private static final Logger LOG = System.getLogger(TapBackend.class.getName());
    private static final int AROUND = MAX_FRAME - 65_535; // Ethernet's header, with a VLAN's
    private static final int WITHOUT_UFO =
            Tap.TUN_F_CSUM | Tap.TUN_F_TSO4 | Tap.TUN_F_TSO6 | Tap.TUN_F_TSO_ECN;

    private final Tap tap;
    private final List<Queue> queues;
    private final int offloads;
    private final int usual; // how large a frame is that nobody has to cut up, with its header
    private volatile int largest; // how large one can be
    private List<Vhost> vhosts = List.of();
    private @Nullable TapTraffic traffic; // where the kernel moves frames

    private TapBackend(Tap tap) throws ErrnoException {
        this.tap = tap;
        this.usual = NetQueue.HEADER + Math.min(tap.mtu(), 65_535) + AROUND;
        this.queues = tap.queues().stream().map(Queue::new).toList();
        int safe = CHECKSUM | TSO4 | TSO6 | ECN;
        if (tap.setOffload(WITHOUT_UFO | Tap.TUN_F_UFO)) {
            offloads = safe | UFO;
        } else {
            offloads = tap.setOffload(WITHOUT_UFO) ? safe : 0;
        }
        allow(0);
        use(1);
    }

    /// Opens tap device `name`, or makes one.
    ///
    /// @param queues 1 to {@link Tap#MAX_QUEUES}
    /// @throws HostUnsupportedException if this user may not
    public static TapBackend open(String name, int queues) throws IOException {
        return open(name, queues, null);
    }

    /// Makes a tap device that is a port of `bridge` as long as it is open.
    ///
    /// @throws HostUnsupportedException if this user may not
    public static TapBackend onBridge(String bridge, int queues) throws IOException {
        return open("kaval%d", queues, bridge);
    }

    private static TapBackend open(String name, int queues, @Nullable String bridge)
            throws IOException {
        Tap tap = null;
        boolean done = false;
        try {
            tap = Tap.open(name, queues, NetQueue.HEADER);
            if (bridge != null) {
                tap.joinBridge(bridge);
            }
            bringUp(tap);
            var backend = new TapBackend(tap);
            done = true;
            return backend;
        } catch (ErrnoException e) {
            throw explain(e, name, queues, bridge);
        } finally {
            if (!done && tap != null) {
                tap.close();
            }
        }
    }

    private static void bringUp(Tap tap) throws ErrnoException {
        try {
            tap.bringUp();
        } catch (ErrnoException e) {
            if (e.errno() != Errno.EPERM) {
                throw e;
            }
            LOG.log(Level.WARNING, "{0} is down: ip link set {0} up", tap.name());
        }
    }

    private static IOException explain(
            ErrnoException e, String name, int queues, @Nullable String bridge) {
        String message = e.getMessage();
        return switch (e.errno()) {
            case Errno.EPERM, Errno.EACCES ->
                    new HostUnsupportedException(
                            bridge == null
                                    ? message
                                            + "; needs CAP_NET_ADMIN, or a device of this user's: ip"
                                            + " tuntap add %s mode tap%s user $USER"
                                                    .formatted(
                                                            name, queues > 1 ? " multi_queue" : "")
                                    : message + "; needs CAP_NET_ADMIN",
                            e);
            case Errno.ENOENT, Errno.ENXIO ->
                    new HostUnsupportedException(message + "; try: modprobe tun", e);
            case Errno.ENODEV ->
                    new HostUnsupportedException(
                            "there is no bridge %s; make it: ip link add %s type bridge"
                                    .formatted(bridge, bridge),
                            e);
            case Errno.EINVAL ->
                    new HostUnsupportedException(
                            "%s; is it a tap device, and %s multi_queue?"
                                    .formatted(message, queues > 1 ? "with" : "without"),
                            e);
            default -> e;
        };
    }

    /// Leaves frames to the host's kernel (vhost-net). Before a guest uses them.
    ///
    /// @throws HostUnsupportedException if this host has no vhost-net, or this user may not
    public void useVhost() throws IOException {
        vhosts = TapVhost.open(tap.queues());
        traffic = TapTraffic.of(tap.name());
    }

    /// What the tap device is called.
    public String name() {
        return tap.name();
    }

    @Override
    public int queues() {
        return queues.size();
    }

    @Override
    public NetQueue queue(int index) {
        return queues.get(index);
    }

    @Override
    public int offloads() {
        return offloads;
    }

    @Override
    public boolean hasHeader() {
        return true;
    }

    @Override
    public void allow(int allowed) {
        int bits =
                (allowed & CHECKSUM) == 0
                        ? 0 // the rest needs it
                        : Tap.TUN_F_CSUM
                                | bit(allowed, TSO4, Tap.TUN_F_TSO4)
                                | bit(allowed, TSO6, Tap.TUN_F_TSO6)
                                | bit(allowed, ECN, Tap.TUN_F_TSO_ECN)
                                | bit(allowed, UFO, Tap.TUN_F_UFO);
        // ECN alone is nothing
        if ((bits & (Tap.TUN_F_TSO4 | Tap.TUN_F_TSO6)) == 0) {
            bits &= ~Tap.TUN_F_TSO_ECN;
        }
        if (!tap.setOffload(bits)) {
            LOG.log(Level.WARNING, "{0} refuses offloads 0x{1}", name(), Integer.toHexString(bits));
        }
        boolean large = (bits & ~Tap.TUN_F_CSUM) != 0;
        largest = large ? NetQueue.HEADER + MAX_FRAME : usual;
    }

    private static int bit(int allowed, int mine, int kernels) {
        return (allowed & mine) != 0 ? kernels : 0;
    }

    @Override
    public void use(int count) {
        if (queues.size() == 1) {
            return; // it has no queues to attach
        }
        try {
            for (int i = 0; i < queues.size(); i++) {
                tap.attach(i, i < count);
            }
        } catch (ErrnoException e) {
            LOG.log(Level.WARNING, "{0}", e.getMessage());
        }
    }

    @Override
    public @Nullable Vhost vhost(int index) {
        return vhosts.isEmpty() ? null : vhosts.get(index);
    }

    @Override
    public @Nullable NetTraffic traffic() {
        return traffic == null ? null : traffic.now();
    }

    @Override
    public void onLink(Consumer<Boolean> listener) {
        listener.accept(true);
    }

    @Override
    public void close() {
        vhosts.forEach(Vhost::close);
        tap.close();
    }

    private final class Queue implements NetQueue {
        /// After a large frame so many usual ones make it likely that the next is usual, too.
        private static final int MANY = 64;

        private final Fd fd;
        private final MemorySegment rest = Arena.ofAuto().allocate(HEADER + MAX_FRAME + 1);
        private int expectingLarge;

        Queue(Fd fd) {
            this.fd = fd;
        }

        /// A vector for the largest frame has many ranges, which cost more than a usual frame does.
        @Override
        public long peek() {
            return expectingLarge > 0 ? largest : usual;
        }

        /// The kernel cuts off what there is no room for, and does not say so.
        @Override
        public long receive(IoVector into) throws ErrnoException {
            into.add(rest, 0, rest.byteSize());
            long count = fd.readv(into, 0, into.byteSize());
            if (count > usual) {
                expectingLarge = MANY;
            } else if (count >= 0 && expectingLarge > 0) {
                expectingLarge--;
            }
            return count > HEADER + MAX_FRAME ? LOST : count;
        }

        @Override
        public MemorySegment rest() {
            return rest;
        }

        @Override
        public long send(IoVector frame) throws ErrnoException {
            return fd.writev(frame, 0, frame.byteSize());
        }

        @Override
        public Fd input() {
            return fd;
        }

        @Override
        public Fd output() {
            return fd;
        }
    }
}
