package org.kaval.devices.virtio;

import java.util.List;
import org.kaval.devices.StateFields;

/// A virtio device, which knows nothing of how its driver reaches it.
///
/// ```
/// attach ──► (activate ──► reset) … ──► close
/// ```
///
/// {@link #activate} and {@link #reset} alternate, and are called by one thread at a time, a vCPU's
/// mostly, while the guest waits. What works on the queues is the device's own to start and to end.
public interface VirtioDevice extends AutoCloseable {
    /// For threads and messages: `virtio-blk0`.
    String name();

    /// Which kind it is (§5): 2 is a disk.
    int type();

    /// What kind of hardware it is in the numbers of PCI (base class, subclass, interface), for
    /// those who list it.
    default int pciClass() {
        return 0xff_0000;
    }

    /// The features of its kind that it offers: bits 0 to 23, and 50 to 127 do not exist here.
    long features();

    /// How many descriptors each of its queues can have: powers of two.
    List<Integer> queueSizes();

    /// Which queue's doorbell the driver rings for queue `index`: its own, unless the device has
    /// one thread for several queues and names the first of these.
    default int doorbellOf(int index) {
        return index;
    }

    /// What the driver reads to learn more.
    ConfigSpace config();

    /// The driver writes to the configuration space. Unless the device says otherwise, nothing
    /// happens.
    ///
    /// @param size 1 to 8 bytes, of which some may be behind the end
    default void writeConfig(long offset, int size, long value) {}

    /// Learns what it is connected to. Once, first.
    void attach(VirtioLink link);

    /// The driver is ready (`DRIVER_OK`): from now on the device may use the queues.
    ///
    /// @param features what the driver has accepted
    void activate(long features);

    /// The driver has given it up. When this returns, nothing of the device touches the queues or
    /// the guest's buffers.
    void reset();

    /// The queues give out no more requests for now, and a snapshot waits until all are given back:
    /// a device that keeps requests until something happens gives them back, or {@link
    /// VirtQueue#putBack puts them back}.
    default void hold() {}

    /// The queues give out requests again.
    default void release() {}

    /// What the device has that is neither in its queues nor in what the driver has accepted.
    /// Restored, it is active if it was.
    ///
    /// @throws org.kaval.devices.StateException if it cannot be this device's
    default void persist(StateFields state) {}

    /// It has been restored, in another process and at another time, and its driver may have to be
    /// told of that.
    default void restored() {}

    /// Gives back what it has of the host. Once, last.
    @Override
    void close();
}
