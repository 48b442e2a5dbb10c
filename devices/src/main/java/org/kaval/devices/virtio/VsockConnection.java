package org.kaval.devices.virtio;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.nio.charset.StandardCharsets.US_ASCII;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.IoVector;

/// One connection between a guest and its host: how far it is, what is between the two, and what
/// the guest is to be told. {@link VsockConnections} has the packets.
///
/// ```
/// HELLO ──"CONNECT 7"──► REQUESTED ──RESPONSE──┐
/// (a client of the host)                       ▼
///             REQUEST of the guest ───────► CONNECTED ──the guest is gone──► DRAINING ──┐
///                                              └────────the host is gone───► CLOSING ───┴► OVER
/// ```
///
/// One thread. Made once, and used for one connection after the other.
final class VsockConnection {
    /// How many bytes of the guest's are kept for a host that does not read.
    static final int BUFFER = 256 << 10;

    // what is to be sent to the guest, besides data and the end of it
    static final int SEND_RST = 1;
    static final int SEND_REQUEST = 1 << 1;
    static final int SEND_RESPONSE = 1 << 2;
    static final int SEND_CREDIT = 1 << 3;
    static final int ASK_CREDIT = 1 << 4;

    /// How far it is.
    enum State {
        /// No side knows of it.
        OVER,
        /// The client has not yet said to which port it wants.
        HELLO,
        /// The guest has not yet answered.
        REQUESTED,
        CONNECTED,
        /// The guest has forgotten it; the host has not yet read all.
        DRAINING,
        /// The host has forgotten it; the guest has not yet.
        CLOSING
    }

    private final int index;
    private final VsockWorkspace workspace;
    private final VsockCredit credit = new VsockCredit(BUFFER);
    private int generation;
    private State state = State.OVER;
    private int guestPort;
    private int hostPort;
    private VsockHello hello = VsockHello.NONE;

    private @Nullable HostStream stream; // null where the host has forgotten it
    private @Nullable VsockBacklog backlog; // null where there is nothing
    private boolean readable; // unless a read has told otherwise
    private boolean writable;
    private boolean ending; // the host has closed one direction at least: reads go on to the end
    private boolean hungUp; // both
    private int burst; // how many packets a read fills

    private boolean guestSends;
    private boolean guestReceives;
    private boolean hostSends;
    private boolean hostReceives;
    private int shutdownTold; // flags

    private int pending; // SEND_RST, …
    private boolean creditAsked;

    // VsockReady's
    boolean queued;
    @Nullable VsockConnection next;

    VsockConnection(int index, VsockWorkspace workspace) {
        this.index = index;
        this.workspace = workspace;
    }

    /// Begins with a client of the host, which says more.
    void greetHost(HostStream newStream) {
        begin(State.HELLO, newStream);
        hello = new VsockHello();
    }

    /// Begins with a guest that asks.
    void accept(HostStream newStream, VsockHeader request) {
        begin(State.CONNECTED, newStream);
        guestPort = request.sourcePort();
        hostPort = request.destinationPort();
        updateCredit(request);
        pending = SEND_RESPONSE;
    }

    private void begin(State newState, HostStream newStream) {
        state = newState;
        generation++;
        stream = newStream;
        readable = false;
        writable = true;
        ending = false;
        hungUp = false;
        burst = 1;
        guestSends = true;
        guestReceives = true;
        hostSends = true;
        hostReceives = true;
        shutdownTold = 0;
        pending = 0;
        creditAsked = false;
        credit.clear();
    }

    /// By which its stream names it: no other connection has had this.
    long token() {
        return (long) generation << Integer.SIZE | index;
    }

    int index() {
        return index;
    }

    /// Whether the guest has heard of it.
    boolean isKnownToGuest() {
        return switch (state) {
            case OVER, HELLO, DRAINING -> false;
            case REQUESTED -> (pending & SEND_REQUEST) == 0;
            case CONNECTED, CLOSING -> true;
        };
    }

    State state() {
        return state;
    }

    int guestPort() {
        return guestPort;
    }

    int hostPort() {
        return hostPort;
    }

    /// What of {@link #SEND_RST} and so on is to be sent.
    int pending() {
        return pending;
    }

    void clearPending(int bits) {
        pending &= ~bits;
    }

    /// The flags of the SHUTDOWN that the guest is to be sent, 0 if none is.
    int shutdownToTell() {
        return shutdown() == shutdownTold ? 0 : shutdown();
    }

    void tellShutdown() {
        shutdownTold = shutdown();
    }

    /// What the host does no more.
    private int shutdown() {
        return (hostReceives ? 0 : VsockHeader.SHUTDOWN_RECEIVE)
                | (hostSends ? 0 : VsockHeader.SHUTDOWN_SEND);
    }

    /// Whether there is something to be sent to the guest.
    boolean hasSomething() {
        return switch (state) {
            case OVER, HELLO, DRAINING -> false;
            case REQUESTED -> pending != 0;
            case CONNECTED, CLOSING -> pending != 0 || shutdownToTell() != 0 || canRead();
        };
    }

    private boolean canRead() {
        return readable
                && hostSends
                && guestReceives
                && state == State.CONNECTED
                && credit.available() > 0;
    }

    // --- what the guest says ---

    void updateCredit(VsockHeader header) {
        credit.update(header);
        creditAsked = false;
    }

    /// Puts into a packet to the guest how much this side takes.
    void tellCredit(VsockHeader header) {
        credit.tell(header);
        pending &= ~SEND_CREDIT;
    }

    void askedForCredit() {
        pending |= SEND_CREDIT;
    }

    /// The guest has accepted the client, which hears of that.
    void accepted() {
        if (state != State.REQUESTED || (pending & SEND_REQUEST) != 0) {
            reset();
            return;
        }
        state = State.CONNECTED;
        byte[] line = "OK %s\n".formatted(Integer.toUnsignedString(hostPort)).getBytes(US_ASCII);
        MemorySegment.copy(line, 0, workspace.text, JAVA_BYTE, 0, line.length);
        IoVector vector = workspace.vector;
        vector.clear();
        vector.add(workspace.text, 0, line.length);
        if (write(vector, line.length) < line.length) {
            reset(); // it was the first, so there was room
        }
    }

    /// Sends the host what the guest has sent: bytes of `in` from `from` on.
    void forward(GuestBuffers in, long from, long length) {
        boolean mayCome = guestSends && state != State.REQUESTED;
        if (!mayCome || !credit.countReceived(length)) {
            reset();
            return;
        }
        IoVector vector = workspace.vector;
        vector.clear();
        in.addTo(vector, from, length);
        long done = 0;
        if (hostReceives && backlog == null && writable && length > 0) {
            done = write(vector, length);
        }
        if (hostReceives && done < length) {
            keep(vector, done, length - done);
            countForwarded(done);
        } else {
            countForwarded(length);
        }
    }

    private void keep(IoVector vector, long from, long length) {
        VsockBacklog current = backlog;
        if (current == null) {
            current = workspace.takeBacklog();
            backlog = current;
        }
        current.add(vector, from, length);
    }

    private void countForwarded(long bytes) {
        credit.countForwarded(bytes);
        if (credit.isWorthTelling() && guestSends) {
            pending |= SEND_CREDIT;
        }
    }

    /// The guest does less from now on.
    void shutDown(int flags) {
        if (state == State.REQUESTED) {
            reset();
            return;
        }
        guestReceives &= (flags & VsockHeader.SHUTDOWN_RECEIVE) == 0;
        guestSends &= (flags & VsockHeader.SHUTDOWN_SEND) == 0;
        HostStream open = stream;
        if (!guestReceives && open != null) {
            open.endReading();
        }
        if (!guestReceives && !guestSends) {
            if (backlog == null) {
                reset();
            } else {
                state = State.DRAINING;
                pending = 0;
            }
        } else if (open != null) {
            if (isThrough()) {
                forgetHost();
            } else if (!guestSends && backlog == null) {
                open.endWriting();
            }
        }
    }

    /// Whether neither side will get anything any more.
    private boolean isThrough() {
        boolean toHost = hostReceives && (guestSends || backlog != null);
        boolean toGuest = hostSends && guestReceives;
        return !toHost && !toGuest;
    }

    // --- what the host does ---

    /// Something has changed about the stream.
    void ready(boolean canRead, boolean canWrite, boolean isEnding, boolean hasHungUp) {
        readable |= canRead;
        writable |= canWrite;
        ending |= isEnding;
        hungUp |= hasHungUp;
        switch (state) {
            case HELLO -> readHello();
            case REQUESTED -> {
                if (hungUp) {
                    reset();
                }
            }
            case CONNECTED, DRAINING -> {
                flush();
                if (state == State.CONNECTED && hungUp && !(hostSends && guestReceives)) {
                    forgetHost(); // else it is read to the end first
                }
            }
            case CLOSING, OVER -> {}
        }
    }

    /// Reads what the client says first, byte by byte, as what follows is for the guest.
    private void readHello() {
        IoVector vector = workspace.vector;
        vector.clear();
        vector.add(workspace.text, 0, 1);
        try {
            while (!hello.isComplete()) {
                long count = open().read(vector, 1);
                if (count < 0) {
                    readable = false;
                    return;
                }
                if (count == 0 || !hello.take(workspace.text.get(JAVA_BYTE, 0))) {
                    end();
                    return;
                }
            }
        } catch (ErrnoException _) {
            end();
        }
    }

    /// Which port of the guest's the client wants, once it has said that.
    boolean wantsPort() {
        return state == State.HELLO && hello.isComplete();
    }

    int wantedPort() {
        return hello.port();
    }

    /// Asks the guest to accept the client.
    ///
    /// @param newHostPort where the guest sees it
    void request(int newHostPort) {
        guestPort = hello.port();
        hostPort = newHostPort;
        hello = VsockHello.NONE;
        state = State.REQUESTED;
        pending = SEND_REQUEST;
    }

    /// Reads from the host into the room for data in `buffers`.
    ///
    /// @return how many bytes are there to be sent
    long read(VsockBuffers buffers) {
        if (!canRead()) {
            return 0;
        }
        IoVector vector = workspace.vector;
        long most = credit.available();
        vector.clear();
        buffers.addRoomTo(vector, burst, most);
        long room = Math.min(vector.byteSize(), most);
        long count;
        try {
            count = open().read(vector, room);
        } catch (ErrnoException _) {
            // it has closed its end without having read all, and may have sent something before
            endHostReceives();
            hungUp = true;
            return 0;
        }
        if (count == 0) {
            endHostSends();
            return 0;
        }
        // a stream that has less than there was room for has no more, unless it has an end
        readable = count == room || (count > 0 && ending);
        burst = count < room ? 1 : Math.min(2 * burst, VsockBuffers.AHEAD);
        if (count < 0) {
            return 0;
        }
        credit.countSent(count);
        if (readable && credit.available() == 0 && !creditAsked) {
            creditAsked = true;
            pending |= ASK_CREDIT;
        }
        return count;
    }

    private void endHostSends() {
        hostSends = false;
        if (hungUp || isThrough()) {
            forgetHost();
        }
    }

    /// The host reads no more: what the guest sends is thrown away.
    private void endHostReceives() {
        if (!hostReceives) {
            forgetHost(); // it fails again
            return;
        }
        hostReceives = false;
        VsockBacklog kept = backlog;
        if (kept != null) {
            countForwarded(kept.size());
            dropBacklog();
        }
        if (state == State.DRAINING || isThrough()) {
            forgetHost();
        }
    }

    /// The host has closed its end.
    private void forgetHost() {
        if (state == State.DRAINING) {
            end();
            return;
        }
        closeStream();
        dropBacklog();
        hostSends = false;
        hostReceives = false;
        state = State.CLOSING;
    }

    // --- to the host ---

    /// Writes the first `length` bytes of `vector`.
    ///
    /// @return how many the host has taken
    private long write(IoVector vector, long length) {
        try {
            long count = open().write(vector, 0, length);
            writable = count == length;
            return count;
        } catch (ErrnoException _) {
            endHostReceives(); // which is its good right
            return 0;
        }
    }

    /// Writes what has been kept.
    private void flush() {
        VsockBacklog kept = backlog;
        if (kept == null || !writable) {
            return;
        }
        IoVector vector = workspace.vector;
        vector.clear();
        kept.addTo(vector);
        long done = write(vector, kept.size());
        if (backlog == null) {
            return; // the host takes no more
        }
        kept.remove(done);
        countForwarded(done);
        if (kept.size() > 0) {
            return;
        }
        dropBacklog();
        if (state == State.DRAINING) {
            end();
        } else if (!guestSends) {
            if (isThrough()) {
                forgetHost();
            } else {
                open().endWriting();
            }
        }
    }

    // --- the end ---

    /// Ends it on both sides: the guest is to be sent an RST.
    void reset() {
        forgetHost();
        state = State.CLOSING;
        pending = SEND_RST;
    }

    /// Ends it; the guest knows, or never knew.
    void end() {
        closeStream();
        dropBacklog();
        hello = VsockHello.NONE;
        pending = 0;
        state = State.OVER;
    }

    private HostStream open() {
        HostStream open = stream;
        if (open == null) {
            throw new IllegalStateException("a connection without a stream");
        }
        return open;
    }

    private void closeStream() {
        if (stream != null) {
            stream.close();
            stream = null;
        }
    }

    private void dropBacklog() {
        if (backlog != null) {
            workspace.giveBack(backlog);
            backlog = null;
        }
    }
}
