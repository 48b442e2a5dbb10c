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
    private final int mtu;
    private volatile long largest; // with its header

    private TapBackend(Tap tap) throws ErrnoException {
        this.tap = tap;
        this.mtu = tap.mtu();
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
        int frame = large ? MAX_FRAME : Math.min(mtu, 65_535) + AROUND;
        largest = (long) NetQueue.HEADER + frame;
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
    public void onLink(Consumer<Boolean> listener) {
        listener.accept(true);
    }

    @Override
    public void close() {
        tap.close();
    }

    private final class Queue implements NetQueue {
        private final Fd fd;
        private final MemorySegment spill = Arena.ofAuto().allocate(1);

        Queue(Fd fd) {
            this.fd = fd;
        }

        @Override
        public long peek() {
            return largest;
        }

        /// The kernel cuts off what there is no room for, and does not say so.
        @Override
        public long receive(IoVector into) throws ErrnoException {
            long room = into.byteSize();
            into.add(spill, 0, 1);
            long count = fd.readv(into, 0, room + 1);
            return count > room ? LOST : count;
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
