package org.kaval.devices.virtio;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.net.NetBackend;
import org.kaval.linux.ErrnoException;

/// The pairs of queues of a network device that are in use: two threads serve each, or the host's
/// kernel does, where the back end has one that can ({@link NetBackend#vhost}).
///
/// The kernel serves as long as frames pass, but for the time of a snapshot: nobody serves while
/// the state is read, and threads do while it is noted which pages are written, as the kernel notes
/// nothing.
///
/// Any thread (guarded by this), but those that serve.
final class NetPairs {
    private static final Logger LOG = System.getLogger(NetPairs.class.getName());

    private final VirtioNet device;
    private final NetBackend backend;
    private final List<NetThread> threads = new ArrayList<>(); // two a pair
    private @Nullable VirtioLink link; // of an active device
    private @Nullable VhostRings rings; // of a kernel that can serve
    private long features;
    private int used;
    private boolean held;
    private boolean tracked;

    NetPairs(VirtioNet device, NetBackend backend) {
        this.device = device;
        this.backend = backend;
    }

    /// Whether the kernel is to serve.
    boolean areForKernel() {
        return backend.vhost(0) != null;
    }

    /// The device is active, with one pair.
    ///
    /// @param accepted what the driver has accepted
    synchronized void begin(VirtioLink to, long accepted) {
        link = to;
        features = accepted;
        if (areForKernel()) {
            try {
                rings = VhostRings.begin(device.name() + "-vhost", to, backend, accepted);
            } catch (ErrnoException e) {
                withoutKernel(e);
            }
        }
        use(1);
    }

    private void withoutKernel(ErrnoException why) {
        LOG.log(Level.WARNING, "{0} is without vhost-net: {1}", device.name(), why.getMessage());
    }

    /// Uses so many pairs.
    ///
    /// @param count 1 to as many as the back end has
    /// @return false if they are not served
    synchronized boolean use(int count) {
        used = count;
        return serve();
    }

    /// How many are used; 0 if the device is not active.
    synchronized int used() {
        return used;
    }

    /// Frames pass again, or do not any more.
    synchronized void linkChanged() {
        serve();
    }

    /// Whether it is noted which pages are written.
    synchronized void track(boolean on) {
        tracked = on;
        serve();
    }

    synchronized void hold() {
        held = true;
        serve();
        threads.forEach(NetThread::hold);
    }

    synchronized void release() {
        held = false;
        serve();
    }

    /// Sees to it that the pairs are served, and by whom they should be.
    ///
    /// @return false if they are not
    private boolean serve() {
        VirtioLink attached = link;
        if (attached == null) {
            return true;
        }
        VhostRings kernel = tracked ? null : rings;
        int byThreads = kernel == null ? used : 0;
        int byKernel = kernel != null && !held && device.isLinkUp() ? used : 0;
        while (threads.size() > 2 * byThreads) {
            threads.removeLast().close();
        }
        if (rings != null) {
            rings.stopFrom(byKernel);
        }
        backend.use(used);
        try {
            while (threads.size() < 2 * byThreads) {
                startPair(attached, threads.size() / 2);
            }
        } catch (ErrnoException e) {
            LOG.log(Level.ERROR, "{0}: {1}", device.name(), e.getMessage());
            return false;
        }
        return kernel == null || startUpTo(kernel, byKernel);
    }

    private boolean startUpTo(VhostRings kernel, int count) {
        try {
            kernel.startUpTo(count);
            return true;
        } catch (ErrnoException e) {
            withoutKernel(e);
            kernel.close();
            rings = null;
            return serve();
        }
    }

    private void startPair(VirtioLink attached, int pair) throws ErrnoException {
        String name = device.name();
        boolean merges = (features & VirtioNet.F_MRG_RXBUF) != 0;
        boolean header = backend.hasHeader();
        VirtQueue receive = attached.queue(2 * pair);
        VirtQueue transmit = attached.queue(2 * pair + 1);
        var in = new NetReceive(device, backend.queue(pair), receive, header, merges);
        var out = new NetTransmit(device, backend.queue(pair), transmit, header);
        threads.add(NetThread.start("%s-rx%d".formatted(name, pair), attached, 2 * pair, in));
        threads.add(NetThread.start("%s-tx%d".formatted(name, pair), attached, 2 * pair + 1, out));
    }

    /// The device is not active any more: when this returns, nobody touches the queues.
    synchronized void end() {
        threads.forEach(NetThread::close);
        threads.clear();
        if (rings != null) {
            rings.close();
            rings = null;
        }
        used = 0;
        link = null;
    }
}
