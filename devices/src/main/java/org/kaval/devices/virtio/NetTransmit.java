package org.kaval.devices.virtio;

import org.jspecify.annotations.Nullable;
import org.kaval.devices.net.NetBackend;
import org.kaval.devices.net.NetQueue;
import org.kaval.devices.virtio.NetThread.Next;
import org.kaval.linux.Epoll;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.IoVector;
import org.kaval.memory.GuestFault;

/// Frames of the guest's (§5.1.6.2): they go out of its memory. What nobody can have sent, or
/// nobody takes, is lost, as on a cable.
///
/// Confined to its thread. A frame allocates nothing.
final class NetTransmit implements NetThread.Work {
    static final int ETHERNET_HEADER = 14;

    private final VirtioNet device;
    private final NetQueue host;
    private final VirtQueue queue;
    private final int skipped; // bytes of the header, if the back end has none
    private final int hostHeader;
    private final DescriptorChain chain;
    private final IoVector vector = new IoVector(VirtioNet.QUEUE_SIZE + 2);
    private boolean takenDown; // the next one is, which had to wait

    NetTransmit(VirtioNet device, NetQueue host, VirtQueue queue, boolean hasHeader) {
        this.device = device;
        this.host = host;
        this.queue = queue;
        this.skipped = hasHeader ? 0 : NetQueue.HEADER;
        this.hostHeader = hasHeader ? NetQueue.HEADER : 0;
        this.chain = new DescriptorChain(queue.memory());
    }

    @Override
    public int events() {
        return Epoll.OUT;
    }

    @Override
    public @Nullable Fd host() {
        return host.output();
    }

    @Override
    public Next step() throws ErrnoException {
        if (!host.flush()) {
            return Next.AWAIT_HOST;
        }
        if (!queue.takeOrAwait(chain)) {
            return Next.AWAIT_DRIVER;
        }
        GuestBuffers frame = chain.readable();
        long size = frame.size() - NetQueue.HEADER;
        if (size < 0 || chain.writable().size() > 0) {
            throw new GuestFault(
                    "a frame of %d bytes to read and %d to write"
                            .formatted(frame.size(), chain.writable().size()));
        }
        long sent = NetQueue.LOST;
        if (device.isLinkUp() && size >= ETHERNET_HEADER && size <= NetBackend.MAX_FRAME) {
            vector.clear();
            frame.addTo(vector, skipped, frame.size() - skipped);
            if (!takenDown) {
                device.takeDown(vector, hostHeader, size); // before there can be an answer
            }
            sent = send();
            takenDown = sent == NetQueue.WOULD_WAIT;
            if (takenDown) {
                queue.putBack();
                return Next.AWAIT_HOST;
            }
        }
        takenDown = false;
        if (sent == NetQueue.LOST) {
            device.sent().drop();
        } else {
            device.sent().count(size);
        }
        queue.complete(chain, 0);
        device.sendLimit().admit(size); // for the next
        return Next.GO_ON;
    }

    /// What the host refuses is what the guest has said of the frame, mostly.
    private long send() {
        try {
            return host.send(vector);
        } catch (ErrnoException e) {
            device.refused(e);
            return NetQueue.LOST;
        }
    }

    @Override
    public void putBack() {
        // it has none between two steps
    }
}
