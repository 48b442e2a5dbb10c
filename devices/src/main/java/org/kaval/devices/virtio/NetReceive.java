package org.kaval.devices.virtio;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.net.NetQueue;
import org.kaval.devices.virtio.NetThread.Next;
import org.kaval.linux.Epoll;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.IoVector;
import org.kaval.memory.GuestFault;

/// Frames for the guest (§5.1.6.4): they are received into its buffers, several of them if the
/// driver allows that and one is not enough. The buffers are kept from one frame to the next.
///
/// Confined to its thread. A frame allocates nothing.
final class NetReceive implements NetThread.Work {
    private static final int MAX_CHAINS = 64;

    /// `num_buffers` of `struct virtio_net_hdr_mrg_rxbuf`.
    private static final int NUM_BUFFERS = 10;

    private final VirtioNet device;
    private final NetQueue host;
    private final VirtQueue queue;
    private final int capacity;
    private final int ownHeader; // bytes of a header that is not the back end's
    private final int hostHeader;
    private final byte[] header = new byte[NetQueue.HEADER];
    private final IoVector vector = new IoVector(IoVector.MAX_COUNT);
    private final MemorySegment head = Arena.ofAuto().allocate(NetFilter.LOOKS_AT);

    // the requests that it has: a ring
    private final DescriptorChain[] chains;
    private int first;
    private int count;
    private long bytes;
    private int pieces;

    NetReceive(
            VirtioNet device, NetQueue host, VirtQueue queue, boolean hasHeader, boolean merges) {
        this.device = device;
        this.host = host;
        this.queue = queue;
        this.capacity = merges ? MAX_CHAINS : 1;
        this.ownHeader = hasHeader ? 0 : NetQueue.HEADER;
        this.hostHeader = hasHeader ? NetQueue.HEADER : 0;
        this.chains = new DescriptorChain[capacity];
        for (int i = 0; i < capacity; i++) {
            chains[i] = new DescriptorChain(queue.memory());
        }
    }

    @Override
    public int events() {
        return Epoll.IN;
    }

    @Override
    public @Nullable Fd host() {
        return host.input();
    }

    @Override
    public Next step() throws ErrnoException {
        long expected = host.peek();
        if (expected == NetQueue.WOULD_WAIT) {
            return Next.AWAIT_HOST;
        }
        gather(expected + ownHeader);
        if (count == 0) {
            return Next.AWAIT_DRIVER;
        }
        long offered = Math.min(expected, bytes - ownHeader);
        fillVector(offered);
        long received = host.receive(vector);
        if (received == NetQueue.WOULD_WAIT) {
            return Next.AWAIT_HOST;
        }
        NetCounters counters = device.received();
        if (received == NetQueue.LOST
                || received - hostHeader < NetTransmit.ETHERNET_HEADER
                || (received > offered && !takesRest(offered, received))) {
            counters.drop();
            return Next.GO_ON;
        }
        if (!device.isLinkUp() || !passes(received)) {
            counters.filter();
            return Next.GO_ON;
        }
        device.takeDown(vector, hostHeader, received - hostHeader);
        deliver(received + ownHeader);
        counters.count(received - hostHeader);
        if (!device.receiveLimit().isUnlimited()) {
            putBack(); // it may take long
            device.receiveLimit().admit(received - hostHeader);
        }
        return Next.GO_ON;
    }

    /// Takes requests until they have room for so many bytes, if there are as many.
    private void gather(long wanted) {
        while (count < capacity && bytes < wanted) {
            DescriptorChain next = chains[(first + count) % capacity];
            if (!queue.take(next) && !(count == 0 && queue.awaitRequest() && queue.take(next))) {
                return;
            }
            GuestBuffers room = next.writable();
            if (room.size() < NetQueue.HEADER || next.readable().size() > 0) {
                throw new GuestFault( // §5.1.6.3.1
                        "a buffer for frames of %d bytes to read and %d to write"
                                .formatted(next.readable().size(), room.size()));
            }
            if (pieces + room.count() >= vector.capacity()) {
                queue.putBack();
                return;
            }
            count++;
            bytes += room.size();
            pieces += room.count();
        }
    }

    /// @param wanted how many bytes, the header of the back end's with them
    private void fillVector(long wanted) {
        vector.clear();
        long left = wanted;
        long skip = ownHeader;
        for (int i = 0; i < count && left > 0; i++) {
            GuestBuffers room = chains[(first + i) % capacity].writable();
            long here = Math.min(left, room.size() - skip);
            room.addTo(vector, skip, here);
            left -= here;
            skip = 0;
        }
    }

    /// Copies what is larger than expected.
    ///
    /// @return whether there is room for it
    private boolean takesRest(long offered, long received) {
        gather(received + ownHeader);
        if (bytes - ownHeader < received) {
            return false;
        }
        fillVector(received);
        vector.copyFrom(offered, host.rest(), 0, received - offered);
        return true;
    }

    private boolean passes(long received) {
        NetFilter filter = device.filter();
        if (filter.passesAll()) {
            return true;
        }
        long looked = Math.min(NetFilter.LOOKS_AT, received - hostHeader);
        head.fill((byte) 0);
        vector.copyTo(hostHeader, head, 0, looked);
        return filter.passes(head);
    }

    /// Gives the driver a frame.
    ///
    /// @param total its bytes, with a header
    private void deliver(long total) {
        int buffers = 0;
        for (long left = total; left > 0; buffers++) {
            left -= chains[(first + buffers) % capacity].writable().size();
        }
        GuestBuffers beginning = chains[first].writable();
        header[NUM_BUFFERS] = (byte) buffers;
        if (ownHeader > 0) {
            beginning.write(0, header);
        } else {
            beginning.write(NUM_BUFFERS, header, NUM_BUFFERS, Short.BYTES);
        }
        long left = total;
        while (left > 0) {
            DescriptorChain chain = chains[first];
            long here = Math.min(left, chain.writable().size());
            left -= here;
            first = (first + 1) % capacity;
            count--;
            bytes -= chain.writable().size();
            pieces -= chain.writable().count();
            if (left > 0) {
                queue.stage(chain, here); // §5.1.6.4: the driver looks for all of them at once
            } else {
                queue.complete(chain, here);
            }
        }
    }

    @Override
    public void putBack() {
        for (; count > 0; count--) {
            queue.putBack();
        }
        bytes = 0;
        pieces = 0;
    }
}
