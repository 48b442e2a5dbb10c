package org.kaval.devices.virtio;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.virtio.VsockConnection.State;
import org.kaval.linux.ErrnoException;
import org.kaval.memory.GuestFault;

/// The connections between a guest and its host (§5.10.6): takes the guest's packets, and sends it
/// those of the host.
///
/// Data goes from guest memory into a stream, and back, without a copy in between, unless a stream
/// has no more room: what the guest has credit for is kept then. A stream is read only as far as
/// the guest has credit. So a side that does not read stalls no other connection.
///
/// One thread. In steady state it allocates nothing. One that has been {@link #close closed} is not
/// used again.
final class VsockConnections implements AutoCloseable {
    /// How many there are at most, whoever has begun them. A power of two.
    static final int MAX = 1024;

    /// §5.10.6.7
    static final int EVENT_TRANSPORT_RESET = 0;

    /// Ports of the host's ends of connections that the host begins: from here on.
    static final int FIRST_HOST_PORT = 1 << 30;

    /// How many packets of one direction may keep the other waiting.
    private static final int ROUND = 64;

    private final long guestCid;
    private final VsockBuffers toGuest;
    private final VirtQueue fromGuest;
    private final VirtQueue events;
    private final VsockHost host;
    private final DescriptorChain packet;
    private final DescriptorChain event;
    private final VsockHeader header = new VsockHeader();
    private final VsockWorkspace workspace = new VsockWorkspace();
    private final VsockPorts ports = new VsockPorts(MAX);
    private final List<VsockConnection> all = new ArrayList<>(); // by their index
    private final Deque<VsockConnection> free = new ArrayDeque<>();
    private final VsockReplies replies = new VsockReplies();
    private final VsockReady ready = new VsockReady();
    private int nextHostPort = FIRST_HOST_PORT;
    private boolean clientsWait = true; // unless accepting has told otherwise
    private boolean resetToTell;
    private boolean closed;

    /// @param link its queues are 0: to the guest, 1: from the guest, 2: events
    VsockConnections(long guestCid, VirtioLink link, VsockHost host) {
        this.guestCid = guestCid;
        this.toGuest = new VsockBuffers(link.queue(0));
        this.fromGuest = link.queue(1);
        this.events = link.queue(2);
        this.host = host;
        this.packet = new DescriptorChain(link.memory());
        this.event = new DescriptorChain(link.memory());
    }

    /// Does a little of what there is to do.
    ///
    /// @return whether there is more; if not, something happens first: a ring of the driver's, or a
    ///   stream that is {@link #ready}
    /// @throws GuestFault if the driver has broken the rules
    boolean step() {
        if (closed) {
            return false;
        }
        tellEvent(); // before a client that has come since the reset is announced
        acceptClients();
        boolean more = takePackets();
        boolean wasFull = replies.isFull();
        more |= sendPackets();
        more |= wasFull && !replies.isFull();
        return more || (clientsWait && !free.isEmpty());
    }

    /// Something has changed about a stream. Nothing happens if it is one of the past.
    ///
    /// @param canRead it may have data, or an end
    /// @param canWrite it may have room
    /// @param ending its other side will send no more, or has closed it
    /// @param hungUp its other side has closed it
    void ready(long token, boolean canRead, boolean canWrite, boolean ending, boolean hungUp) {
        VsockConnection connection = all.get((int) token);
        if (connection.token() != token || connection.state() == State.OVER) {
            return;
        }
        connection.ready(canRead, canWrite, ending, hungUp);
        if (connection.wantsPort()) {
            connection.request(freeHostPort(connection.wantedPort()));
            enter(connection);
        }
        settle(connection);
    }

    /// There may be clients of the host.
    void clientsWait() {
        clientsWait = true;
    }

    /// Ends all connections that the guest knows of, and tells it so (§5.10.6.7).
    void resetTransport() {
        replies.clear();
        for (VsockConnection connection : all) {
            if (connection.isKnownToGuest()) {
                end(connection);
            }
        }
        resetToTell = true;
    }

    /// Gives back what has been taken of the queues and is not in use.
    void putBack() {
        toGuest.putBack();
    }

    /// Ends all connections.
    @Override
    public void close() {
        closed = true;
        for (VsockConnection connection : all) {
            if (connection.state() != State.OVER) {
                end(connection);
            }
        }
    }

    private void end(VsockConnection connection) {
        connection.end();
        settle(connection);
    }

    private void tellEvent() {
        while (resetToTell) {
            if (events.take(event)) {
                for (int i = 0; i < Integer.BYTES; i++) {
                    event.writable().writeByte(i, EVENT_TRANSPORT_RESET >>> (i * Byte.SIZE));
                }
                events.complete(event, Integer.BYTES);
                resetToTell = false;
            } else if (!events.awaitRequest()) {
                return;
            }
        }
    }

    // --- where connections come from and go to ---

    private void acceptClients() {
        while (clientsWait && hasRoom()) {
            HostStream stream = host.accept();
            if (stream == null) {
                clientsWait = false;
            } else {
                VsockConnection connection = take();
                connection.greetHost(stream);
                watch(connection, stream);
            }
        }
    }

    /// @return false if the host refuses to; the connection is over then
    private boolean watch(VsockConnection connection, HostStream stream) {
        try {
            stream.watch(connection.token());
            return true;
        } catch (ErrnoException _) {
            connection.end(); // as if it had closed at once
            free.push(connection);
            return false;
        }
    }

    private boolean hasRoom() {
        return !free.isEmpty() || all.size() < MAX || evictOne();
    }

    /// Where {@link #hasRoom there is room}.
    private VsockConnection take() {
        VsockConnection connection = free.poll();
        if (connection == null) {
            connection = new VsockConnection(all.size(), workspace);
            all.add(connection);
        }
        return connection;
    }

    /// Gives up a connection that the host has ended and the guest has not: when to be through with
    /// it is for the guest to say, and it may never do so.
    private boolean evictOne() {
        if (replies.isFull()) {
            return false;
        }
        for (VsockConnection connection : all) {
            if (connection.state() == State.CLOSING) {
                reply(connection);
                end(connection);
                return true;
            }
        }
        return false;
    }

    private void enter(VsockConnection connection) {
        ports.put(connection.guestPort(), connection.hostPort(), connection.index());
    }

    private void forgetPorts(VsockConnection connection) {
        if (ports.find(connection.guestPort(), connection.hostPort()) == connection.index()) {
            ports.remove(connection.guestPort(), connection.hostPort());
        }
    }

    private int freeHostPort(int guestPort) {
        int port;
        do {
            port = nextHostPort;
            nextHostPort = nextHostPort == Integer.MAX_VALUE ? FIRST_HOST_PORT : nextHostPort + 1;
        } while (ports.find(guestPort, port) >= 0);
        return port;
    }

    /// Does what follows from what has become of a connection.
    private void settle(VsockConnection connection) {
        if (connection.state() == State.OVER) {
            forgetPorts(connection);
            free.push(connection);
        } else if (connection.hasSomething()) {
            ready.add(connection);
        }
    }

    // --- packets from the guest ---

    private boolean takePackets() {
        for (int i = 0; i < ROUND; i++) {
            if (replies.isFull()) {
                return false;
            }
            if (!fromGuest.take(packet)) {
                return fromGuest.awaitRequest();
            }
            handle(packet.readable());
            fromGuest.complete(packet, 0);
        }
        return true;
    }

    private void handle(GuestBuffers in) {
        header.read(in);
        long length = header.length();
        if (length > in.size() - VsockHeader.SIZE) {
            throw new GuestFault(
                    "a packet of %d bytes says that %d of them are data"
                            .formatted(in.size(), length));
        }
        if (header.sourceCid() != guestCid) {
            return; // nobody whom an answer would reach
        }
        boolean forUs =
                header.destinationCid() == VsockHeader.HOST_CID
                        && header.type() == VsockHeader.TYPE_STREAM;
        int index = forUs ? ports.find(header.sourcePort(), header.destinationPort()) : -1;
        boolean makesSense = header.op() == VsockHeader.OP_RW || length == 0;
        if (index >= 0) {
            VsockConnection connection = all.get(index);
            connection.updateCredit(header);
            if (makesSense) {
                handle(connection, in, length);
            } else {
                connection.reset();
            }
            settle(connection);
        } else if (forUs && header.op() == VsockHeader.OP_REQUEST && makesSense) {
            open();
        } else if (header.op() != VsockHeader.OP_RST) {
            refuse();
        }
    }

    private void handle(VsockConnection connection, GuestBuffers in, long length) {
        switch (header.op()) {
            case VsockHeader.OP_RESPONSE -> connection.accepted();
            case VsockHeader.OP_RST -> connection.end();
            case VsockHeader.OP_SHUTDOWN -> {
                connection.shutDown(header.flags());
                if (connection.state() == State.DRAINING) {
                    forgetPorts(connection);
                    reply(connection); // §5.10.6.5: the guest may use its port again
                }
            }
            case VsockHeader.OP_RW -> connection.forward(in, VsockHeader.SIZE, length);
            case VsockHeader.OP_CREDIT_UPDATE -> {}
            case VsockHeader.OP_CREDIT_REQUEST -> connection.askedForCredit();
            default -> connection.reset(); // a REQUEST for what there is, or an unknown one
        }
    }

    /// The guest wants to be connected.
    private void open() {
        HostStream stream = hasRoom() ? host.connect(header.destinationPort()) : null;
        if (stream != null) {
            VsockConnection connection = take();
            connection.accept(stream, header);
            if (watch(connection, stream)) {
                enter(connection);
                settle(connection);
                return;
            }
        }
        if (!replies.isFull()) {
            refuse();
        }
    }

    /// Answers the packet in {@link #header} by a reset.
    private void refuse() {
        replies.add(
                header.destinationCid(),
                header.destinationPort(),
                header.sourcePort(),
                header.type());
    }

    private void reply(VsockConnection connection) {
        replies.add(
                VsockHeader.HOST_CID,
                connection.hostPort(),
                connection.guestPort(),
                VsockHeader.TYPE_STREAM);
    }

    // --- packets to the guest ---

    private boolean sendPackets() {
        for (int i = 0; i < ROUND; i++) {
            if (ready.isEmpty() && replies.isEmpty()) {
                return false;
            }
            if (!toGuest.isAvailable()) {
                return false;
            }
            if (!replies.isEmpty()) {
                replies.poll(header, guestCid);
                toGuest.send(header, 0);
            } else {
                sendNext(ready.poll());
            }
        }
        return true;
    }

    private void sendNext(@Nullable VsockConnection connection) {
        if (connection == null || !connection.hasSomething()) {
            return; // as something has happened since
        }
        header.address(
                VsockHeader.HOST_CID, connection.hostPort(), guestCid, connection.guestPort());
        int pending = connection.pending();
        if ((pending & VsockConnection.SEND_RST) != 0) {
            header.operation(VsockHeader.OP_RST, 0);
            toGuest.send(header, 0);
            connection.end();
        } else if ((pending & VsockConnection.SEND_REQUEST) != 0) {
            send(connection, VsockConnection.SEND_REQUEST, VsockHeader.OP_REQUEST, 0);
        } else if ((pending & VsockConnection.SEND_RESPONSE) != 0) {
            send(connection, VsockConnection.SEND_RESPONSE, VsockHeader.OP_RESPONSE, 0);
        } else if (connection.shutdownToTell() != 0) {
            send(connection, 0, VsockHeader.OP_SHUTDOWN, connection.shutdownToTell());
            connection.tellShutdown();
        } else if ((pending & VsockConnection.SEND_CREDIT) != 0) {
            send(connection, VsockConnection.SEND_CREDIT, VsockHeader.OP_CREDIT_UPDATE, 0);
        } else if ((pending & VsockConnection.ASK_CREDIT) != 0) {
            send(connection, VsockConnection.ASK_CREDIT, VsockHeader.OP_CREDIT_REQUEST, 0);
        } else {
            sendData(connection);
        }
        settle(connection);
    }

    private void send(VsockConnection connection, int done, int op, int flags) {
        connection.clearPending(done);
        connection.tellCredit(header);
        header.operation(op, flags);
        toGuest.send(header, 0);
    }

    private void sendData(VsockConnection connection) {
        for (long left = connection.read(toGuest); left > 0; ) {
            header.operation(VsockHeader.OP_RW, 0);
            connection.tellCredit(header);
            left -= toGuest.send(header, left);
        }
    }
}
