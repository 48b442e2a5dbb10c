package org.kaval.devices.virtio;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.StateFields;
import org.kaval.linux.Epoll;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.IoVector;
import org.kaval.linux.SocketPath;
import org.kaval.linux.UnixSocket;
import org.kaval.memory.GuestFault;

/// One port of a {@link VirtioPorts}: its socket, the client that has it, and what the driver knows
/// of both. Bytes go between the socket and the guest's memory, without a place between.
///
/// ```
/// driver: DEVICE_READY ──► PORT_ADD ──► driver: PORT_READY ──► PORT_NAME ──► clients are let in
///                 a client comes ──► PORT_OPEN 1 ──► … it has gone ──► PORT_OPEN 0 ──► the next
/// ```
///
/// Confined to the device's thread while the device is active, but for {@link #isOpen}.
final class NamedPort implements AutoCloseable {
    private static final int EVENTS = Epoll.IN | Epoll.OUT | Epoll.END_OF_INPUT | Epoll.EDGE;

    /// At once, so that the other ports have their turn.
    private static final long MOST = 1 << 20;

    private static final Logger LOG = System.getLogger(NamedPort.class.getName());

    private final int id;
    private final byte[] name;
    private final Path path;
    private final Fd listener;
    private final Epoll epoll;
    private final IoVector vector;
    private boolean clientsWait = true; // or may
    private boolean failed; // is said once

    // what the driver knows and wants
    private boolean added;
    private boolean owesAdd;
    private boolean ready;
    private boolean owesName;
    private boolean toldOpen;
    private volatile boolean open; // in the guest

    // the client
    private @Nullable Fd client;
    private boolean canRead;
    private boolean canWrite;
    private boolean ended; // it says no more
    private boolean deaf; // it hears no more
    private boolean gone; // nothing more comes or goes, but what is there

    // the queues, while the device is active
    private @Nullable Queues queues;

    private static final class Queues {
        final VirtQueue receive;
        final VirtQueue transmit;
        final DescriptorChain received;
        final DescriptorChain sending;
        boolean underWay; // a request of the transmit queue
        long sent; // of it, or of the next if that was put back

        Queues(VirtioLink link, int receiveIndex) {
            receive = link.queue(receiveIndex);
            transmit = link.queue(receiveIndex + 1);
            received = new DescriptorChain(link.memory());
            sending = new DescriptorChain(link.memory());
        }
    }

    /// @param vector for any use that ends with the call
    private NamedPort(int id, String name, Path path, Fd listener, Epoll epoll, IoVector vector) {
        this.id = id;
        this.name = name.getBytes(StandardCharsets.US_ASCII);
        this.path = path;
        this.listener = listener;
        this.epoll = epoll;
        this.vector = vector;
    }

    /// Listens at `path`.
    ///
    /// @param id from 1: port 0 is a console
    /// @param epoll watches for clients, with the token `-1 - id`, and the client, with `id`; it
    ///   stays the caller's
    static NamedPort open(int id, String name, Path path, Epoll epoll, IoVector vector)
            throws IOException {
        if (SocketPath.length(path) > UnixSocket.MAX_PATH) {
            throw new IOException(
                    "%s: a socket's path has at most %d bytes"
                            .formatted(path, UnixSocket.MAX_PATH));
        }
        var port = new NamedPort(id, name, path, SocketPath.listen(path), epoll, vector);
        boolean done = false;
        try {
            epoll.add(port.listener, Epoll.IN | Epoll.EDGE, -1L - id);
            done = true;
            return port;
        } finally {
            if (!done) {
                port.close();
            }
        }
    }

    /// Whether the guest has opened it. Any thread.
    boolean isOpen() {
        return open;
    }

    void activate(VirtioLink link) {
        queues = new Queues(link, 2 * (id + 1));
    }

    /// Is as it was at first; a client is hung up on.
    void reset() {
        hangUp();
        queues = null;
        forget();
    }

    /// The driver has broken the rules: nothing goes on here.
    void forget() {
        hangUp();
        clientsWait = true;
        added = false;
        owesAdd = false;
        ready = false;
        owesName = false;
        toldOpen = false;
        open = false;
    }

    /// While the device is held. A client is no part of it: a restored driver hears that it has
    /// gone.
    void persist(StateFields state) {
        added = state.flag("added", added);
        owesAdd = state.flag("owesAdd", owesAdd);
        ready = state.flag("ready", ready);
        owesName = state.flag("owesName", owesName);
        toldOpen = state.flag("toldOpen", toldOpen);
        open = state.flag("open", open);
    }

    /// Has no request any more; what has been sent of one is not sent again.
    void putBack() {
        if (queues != null && queues.underWay) {
            queues.transmit.putBack();
            queues.underWay = false;
        }
    }

    /// The driver says that it wants to know what ports there are.
    void deviceReady() {
        if (!added) {
            added = true;
            owesAdd = true;
        }
    }

    /// The driver says whether it can use this one.
    void ready(boolean usable) {
        if (usable && added && !ready) {
            owesName = true;
        }
        ready = usable && added;
        if (!ready) {
            hangUp();
        }
    }

    /// The guest has opened or closed it. Bytes for it wait while it is closed.
    void open(boolean isOpen) {
        open = isOpen && ready;
    }

    /// Clients may be waiting.
    void clientsWait() {
        clientsWait = true;
    }

    /// Something has changed about the client.
    ///
    /// @param events of {@link Epoll}
    void clientChanged(int events) {
        Fd current = client;
        if (current == null) {
            return;
        }
        boolean all = (events & (Epoll.ERROR | Epoll.HANGUP)) != 0;
        canRead |= all || (events & (Epoll.IN | Epoll.END_OF_INPUT)) != 0;
        canWrite |= all || (events & Epoll.OUT) != 0;
        if (all && !gone) {
            gone = true;
            deaf = true;
            ended |= !hasUnread(current); // the guest may never open the port to find that
        }
    }

    private static boolean hasUnread(Fd client) {
        try {
            return UnixSocket.unread(client) > 0;
        } catch (ErrnoException _) {
            return false;
        }
    }

    /// Does a little.
    ///
    /// @return whether there is more to do now
    /// @throws GuestFault if the driver has broken the rules
    boolean step(PortControl control) {
        Queues now = queues;
        if (now == null) {
            return false;
        }
        boolean more = send(now);
        accept();
        more |= tell(control);
        more |= receive(now);
        if (client != null && ended && deaf) {
            hangUp();
            more = true;
        }
        return more;
    }

    /// The driver has to know that the last has gone before another comes, or else it would take
    /// both for one.
    private void accept() {
        if (client != null || !clientsWait || !ready || owesName || toldOpen) {
            return;
        }
        try {
            Fd next = UnixSocket.accept(listener);
            if (next == null) {
                clientsWait = false;
                return;
            }
            client = next;
            canRead = true;
            canWrite = true;
            ended = false;
            deaf = false;
            gone = false;
            epoll.add(next, EVENTS, id);
        } catch (ErrnoException e) {
            if (!failed) {
                failed = true;
                LOG.log(Level.WARNING, "no client for now: {0}", e.getMessage());
            }
            clientsWait = false;
            hangUp();
        }
    }

    /// @return whether the driver has been told something
    private boolean tell(PortControl control) {
        boolean connected = client != null;
        if (owesAdd) {
            owesAdd = !control.tell(id, PortControl.PORT_ADD, 1, PortControl.NO_TEXT);
            return !owesAdd;
        }
        if (owesName) {
            owesName = !control.tell(id, PortControl.PORT_NAME, 1, name);
            return !owesName;
        }
        if (ready
                && toldOpen != connected
                && control.tell(
                        id, PortControl.PORT_OPEN, connected ? 1 : 0, PortControl.NO_TEXT)) {
            toldOpen = connected;
            return true;
        }
        return false;
    }

    /// Sends a little of what the guest has for the client. What it has for nobody is dropped, so
    /// that the next client does not get the rest of what the last was told.
    private boolean send(Queues now) {
        if (!now.underWay && !takeNext(now)) {
            return false;
        }
        GuestBuffers bytes = now.sending.readable();
        Fd current = client;
        if (current == null || deaf || !toldOpen) {
            now.sent = bytes.size();
        }
        long left = Math.min(MOST, bytes.size() - now.sent);
        if (left > 0 && current != null) {
            if (!canWrite) {
                return false;
            }
            vector.clear();
            bytes.addTo(vector, now.sent, left);
            now.sent += write(current, left);
        }
        if (now.sent == bytes.size()) {
            now.underWay = false;
            now.sent = 0;
            now.transmit.complete(now.sending, 0); // last: whoever saves the state waits for it
        }
        return true;
    }

    private long write(Fd to, long length) {
        try {
            long count = to.writev(vector, 0, length);
            canWrite = count >= 0;
            return Math.max(0, count);
        } catch (ErrnoException _) {
            deaf = true; // it has gone: its own business
            return 0;
        }
    }

    private static boolean takeNext(Queues now) {
        VirtQueue queue = now.transmit;
        DescriptorChain next = now.sending;
        if (!queue.takeOrAwait(next)) {
            return false;
        }
        if (next.writable().size() > 0) {
            throw new GuestFault("output of %d bytes to write".formatted(next.writable().size()));
        }
        if (now.sent > next.readable().size()) { // the driver has changed what was put back
            throw new GuestFault(
                    "output of %d bytes, of which %d have been sent"
                            .formatted(next.readable().size(), now.sent));
        }
        now.underWay = true;
        return true;
    }

    /// Gives the guest some of what the client says.
    private boolean receive(Queues now) {
        Fd current = client;
        if (current == null || ended || !canRead || !toldOpen || !open) {
            return false;
        }
        VirtQueue queue = now.receive;
        DescriptorChain next = now.received;
        if (!queue.takeOrAwait(next)) {
            return false;
        }
        GuestBuffers room = next.writable();
        if (next.readable().size() > 0 || room.size() == 0) {
            throw new GuestFault(
                    "a buffer for input with %d bytes to read and %d to write"
                            .formatted(next.readable().size(), room.size()));
        }
        long length = Math.min(MOST, room.size());
        vector.clear();
        room.addTo(vector, 0, length);
        long count = read(current, length);
        if (count > 0) {
            queue.complete(next, count);
            return true;
        }
        queue.putBack();
        return false;
    }

    /// @return how many bytes have come; none also at the end
    private long read(Fd from, long length) {
        long count = 0;
        try {
            count = from.readv(vector, 0, length);
        } catch (ErrnoException _) {
            deaf = true;
        }
        canRead = count > 0;
        ended |= count == 0;
        return Math.max(0, count);
    }

    private void hangUp() {
        Fd current = client;
        if (current != null) {
            client = null;
            current.close();
        }
    }

    @Override
    public void close() {
        hangUp();
        try {
            Files.deleteIfExists(path); // while it is this one's still
        } catch (IOException e) {
            LOG.log(Level.WARNING, "{0}", e.getMessage());
        }
        listener.close();
    }
}
