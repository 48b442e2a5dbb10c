package org.kaval.devices.net;

import java.util.ArrayList;
import java.util.List;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;
import org.kaval.linux.Fd;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.linux.VhostNet;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// One queue of a tap device, by vhost-net.
final class TapVhost implements Vhost {
    // Virtio 1.2 §6 and §5.1.3: what the rings' other end has to know of
    private static final long MRG_RXBUF = 1L << 15;
    private static final long INDIRECT_DESC = 1L << 28;
    private static final long EVENT_IDX = 1L << 29;
    private static final long VERSION_1 = 1L << 32;
    private static final long NEEDED = MRG_RXBUF | INDIRECT_DESC | EVENT_IDX | VERSION_1;

    private final VhostNet kernel;
    private final Fd queue;

    private TapVhost(VhostNet kernel, Fd queue) {
        this.kernel = kernel;
        this.queue = queue;
    }

    /// Opens one for each of `queues`.
    ///
    /// @throws HostUnsupportedException if this host has none, or this user may not
    static List<Vhost> open(List<Fd> queues) throws HostUnsupportedException {
        var opened = new ArrayList<Vhost>();
        boolean done = false;
        try {
            for (Fd queue : queues) {
                VhostNet kernel = VhostNet.open("vhost of " + queue.name());
                opened.add(new TapVhost(kernel, queue));
                long missing = NEEDED & ~kernel.features();
                if (missing != 0) {
                    throw new HostUnsupportedException(
                            "/dev/vhost-net does not know features 0x%x".formatted(missing));
                }
            }
            done = true;
            return List.copyOf(opened);
        } catch (ErrnoException e) {
            throw new HostUnsupportedException(e.getMessage() + remedy(e.errno()), e);
        } finally {
            if (!done) {
                opened.forEach(Vhost::close);
            }
        }
    }

    private static String remedy(int errno) {
        return switch (errno) {
            case Errno.ENOENT, Errno.ENODEV, Errno.ENXIO -> "; try: modprobe vhost_net";
            case Errno.EACCES, Errno.EPERM -> "; this user may not open it";
            default -> "";
        };
    }

    @Override
    public void begin(long features, GuestMemory memory) throws ErrnoException {
        kernel.setFeatures(features & NEEDED);
        var regions = new ArrayList<VhostNet.Region>();
        for (GuestRange range : memory.ranges()) {
            regions.add(
                    new VhostNet.Region(range.base(), memory.slice(range.base(), range.size())));
        }
        kernel.setMemory(regions);
    }

    @Override
    public void interruptBy(int ring, EventFd event) throws ErrnoException {
        kernel.setCall(ring, event);
    }

    @Override
    public void start(int ring, Ring at) throws ErrnoException {
        kernel.setRing(ring, at.size(), at.next(), at.descriptors(), at.available(), at.used());
        kernel.setError(ring, at.error());
        kernel.setKick(ring, at.kick());
        kernel.setBackend(ring, queue);
    }

    @Override
    public int stop(int ring) throws ErrnoException {
        int next = kernel.stop(ring);
        kernel.setKick(ring, null);
        return next;
    }

    @Override
    public void close() {
        kernel.close();
    }
}
