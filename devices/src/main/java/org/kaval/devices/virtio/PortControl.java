package org.kaval.devices.virtio;

import org.kaval.memory.GuestFault;

/// The two control queues of a console with several ports (§5.3.6.2), by which driver and device
/// say what there is, and who has opened what:
///
/// ```
/// struct virtio_console_control { le32 id; le16 event; le16 value; }   behind PORT_NAME the name
/// ```
///
/// Nothing is kept here that waits to be said: each port knows what it owes the driver, so a driver
/// that asks without end and takes no answers makes nothing grow. Confined to the device's thread;
/// allocates nothing.
final class PortControl {
    /// The queue of what the device says; the next is that of the driver.
    static final int RECEIVE = 2;

    static final int TRANSMIT = RECEIVE + 1;

    // events
    static final int DEVICE_READY = 0;
    static final int PORT_ADD = 1;
    static final int PORT_READY = 3;
    static final int PORT_OPEN = 6;
    static final int PORT_NAME = 7;

    static final byte[] NO_TEXT = {};

    private static final int SIZE = 8;
    private static final int EVENT = 4;

    private final VirtQueue receive;
    private final VirtQueue transmit;
    private final DescriptorChain chain;
    private final byte[] header = new byte[SIZE];
    private int id;
    private int event;
    private int value;

    PortControl(VirtioLink link) {
        receive = link.queue(RECEIVE);
        transmit = link.queue(TRANSMIT);
        chain = new DescriptorChain(link.memory());
    }

    /// Tells the driver something, if it has a buffer for that; if not, it rings when it has.
    ///
    /// @return whether it is told
    /// @throws GuestFault if the driver has broken the rules
    boolean tell(int port, int what, int about, byte[] text) {
        if (!receive.takeOrAwait(chain)) {
            return false;
        }
        GuestBuffers into = chain.writable();
        int length = SIZE + text.length;
        if (chain.readable().size() > 0 || into.size() < length) {
            throw new GuestFault(
                    "a buffer of %d bytes to read and %d to write for a control message of %d"
                            .formatted(chain.readable().size(), into.size(), length));
        }
        for (int i = 0; i < Integer.BYTES; i++) {
            header[i] = (byte) (port >>> (i * Byte.SIZE));
        }
        long both = what | (long) about << Short.SIZE;
        for (int i = 0; i < Integer.BYTES; i++) {
            header[EVENT + i] = (byte) (both >>> (i * Byte.SIZE));
        }
        into.write(0, header);
        into.write(SIZE, text);
        receive.complete(chain, length);
        return true;
    }

    /// Takes the next that the driver says, which {@link #id}, {@link #event} and {@link #value}
    /// are then.
    ///
    /// @return false if there is nothing
    /// @throws GuestFault if it has not all of it, or the driver has broken the rules otherwise
    boolean hear() {
        if (!transmit.takeOrAwait(chain)) {
            return false;
        }
        GuestBuffers said = chain.readable();
        if (said.size() < SIZE || chain.writable().size() > 0) {
            throw new GuestFault(
                    "a control message of %d bytes, with %d to write"
                            .formatted(said.size(), chain.writable().size()));
        }
        id = said.readLe32(0);
        int both = said.readLe32(EVENT);
        event = both & 0xffff;
        value = both >>> Short.SIZE;
        transmit.complete(chain, 0);
        return true;
    }

    /// Which port it is about: any number.
    int id() {
        return id;
    }

    int event() {
        return event;
    }

    int value() {
        return value;
    }
}
