package org.kaval.devices.virtio;

import org.kaval.devices.ConsolePort;
import org.kaval.devices.StateException;
import org.kaval.devices.StateFields;
import org.kaval.memory.GuestFault;

/// The two queues of a console's port (§5.3.6): what the guest sends goes to the host's end as far
/// as there is room, and what the host's end has goes into the guest's buffers as far as there are
/// any. So nothing is lost, and neither way waits for the other.
///
/// Confined to the device's thread.
final class PortQueues {
    private static final int CHUNK = 4096;

    private final ConsolePort port;
    private final VirtQueue receive;
    private final VirtQueue transmit;
    private final DescriptorChain received;
    private final DescriptorChain sending;
    private final byte[] chunk = new byte[CHUNK];
    private boolean underWay; // a request of the transmit queue
    private long sent; // of it, or of the next if that was put back
    private final Runnable onUse;
    private boolean used;

    /// @param receiveIndex the receive queue; the transmit queue is the next
    /// @param onUse is called before the guest's first output goes out: who answers that, answers
    ///   to this port
    PortQueues(ConsolePort port, VirtioLink link, int receiveIndex, Runnable onUse) {
        this.onUse = onUse;
        this.port = port;
        this.receive = link.queue(receiveIndex);
        this.transmit = link.queue(receiveIndex + 1);
        this.received = new DescriptorChain(link.memory());
        this.sending = new DescriptorChain(link.memory());
    }

    /// Whether the guest has sent anything.
    boolean used() {
        return used;
    }

    /// Has no request any more; what it has sent of one is not sent again.
    void putBack() {
        if (underWay) {
            transmit.putBack();
            underWay = false;
        }
    }

    /// While the device is held.
    void persist(StateFields state) {
        used = state.flag("used", used);
        sent = state.number("sent", sent);
        if (sent < 0) {
            throw new StateException("%d bytes have been sent".formatted(sent));
        }
    }

    /// Sends a little of what the guest has for us.
    ///
    /// @return whether there may be more, and room for it
    boolean send() {
        if (!underWay && !takeNext()) {
            return false;
        }
        GuestBuffers bytes = sending.readable();
        int count = (int) Math.min(CHUNK, bytes.size() - sent);
        bytes.read(sent, chunk, 0, count);
        int taken = port.send(chunk, 0, count);
        sent += taken;
        if (sent == bytes.size()) {
            underWay = false;
            sent = 0;
            transmit.complete(sending, 0); // last: whoever saves the state waits for it
        }
        return taken == count;
    }

    private boolean takeNext() {
        if (!transmit.takeOrAwait(sending)) {
            return false;
        }
        if (sending.writable().size() > 0) {
            throw new GuestFault(
                    "output of %d bytes to write".formatted(sending.writable().size()));
        }
        if (sent > sending.readable().size()) { // the driver has changed what was put back
            throw new GuestFault(
                    "output of %d bytes, of which %d have been sent"
                            .formatted(sending.readable().size(), sent));
        }
        if (!used) {
            used = true;
            onUse.run();
        }
        underWay = true;
        return true;
    }

    /// Gives the guest some of its input.
    ///
    /// @return whether there may be more, and a buffer for it
    boolean receive() {
        if (!port.hasInput()) {
            return false;
        }
        if (!receive.takeOrAwait(received)) {
            return false;
        }
        GuestBuffers into = received.writable();
        if (into.size() == 0 || received.readable().size() > 0) {
            throw new GuestFault(
                    "a buffer for input of %d bytes to read and %d to write"
                            .formatted(received.readable().size(), into.size()));
        }
        int count = port.receive(chunk, 0, (int) Math.min(CHUNK, into.size()));
        if (count == 0) { // somebody else has taken it meanwhile
            receive.putBack();
            return false;
        }
        into.write(0, chunk, 0, count);
        receive.complete(received, count);
        return true;
    }
}
