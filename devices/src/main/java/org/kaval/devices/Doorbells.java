package org.kaval.devices;

import org.kaval.kvm.KvmVm.Doorbell;
import org.kaval.linux.EventFd;

/// Makes writes of the guest wake a device's thread, without an exit to this process.
///
/// Any thread.
public interface Doorbells {
    /// Makes writes to `doorbell` signals of `event`. Where the host cannot, they stay writes to
    /// the device's registers, which are slower and do the same.
    void assign(EventFd event, Doorbell doorbell);

    /// Ends what {@link #assign} began with the same arguments.
    void unassign(EventFd event, Doorbell doorbell);
}
