package org.kaval.devices.virtio;

import org.jspecify.annotations.Nullable;
import org.kaval.linux.WakeUp;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestMemory;

/// What connects a device with its driver. Any thread.
public interface VirtioLink {
    /// The guest's memory.
    GuestMemory memory();

    /// Queue `index`, which gives out requests while the device is active.
    VirtQueue queue(int index);

    /// What wakes a thread when the driver has added requests to queue `index`, and once when the
    /// device is activated.
    WakeUp doorbell(int index);

    /// Lets `taker` interrupt the driver for queue `index`: it is told now with what, and again
    /// when that changes, by the thread that changes it.
    ///
    /// @param taker null to end that
    void interruptBy(int index, @Nullable InterruptTaker taker);

    /// Runs `change`, which changes the configuration space, and tells the driver.
    void changeConfig(Runnable change);

    /// The driver has broken the rules: the device does nothing more until it is reset. The log
    /// says why.
    void needsReset(GuestFault fault);

    /// Something came out of a thread of the device's that is a bug: the machine ends.
    void broken(Throwable bug);
}
