package org.kaval.devices;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.HashSet;
import java.util.Set;
import org.kaval.kvm.KvmVm;
import org.kaval.kvm.KvmVm.Doorbell;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;

/// Doorbells that KVM takes (ioeventfd).
///
/// Any thread (guarded by this), as long as the machine is open.
public final class KvmDoorbells implements Doorbells {
    /// A guest can move a doorbell for ever; the log is told of the first few failures.
    private static final int LOGGED_FAILURES = 4;

    private static final Logger LOG = System.getLogger(KvmDoorbells.class.getName());

    private final KvmVm vm;
    private final Set<Assigned> assigned = new HashSet<>();
    private int failures;

    private record Assigned(EventFd event, Doorbell doorbell) {}

    public KvmDoorbells(KvmVm vm) {
        this.vm = vm;
    }

    @Override
    public synchronized void assign(EventFd event, Doorbell doorbell) {
        try {
            vm.assignIoeventfd(event, doorbell);
            assigned.add(new Assigned(event, doorbell));
        } catch (ErrnoException e) {
            if (++failures <= LOGGED_FAILURES) {
                LOG.log(Level.WARNING, "{0}: {1}", event.fd(), e.getMessage());
            }
        }
    }

    @Override
    public synchronized void unassign(EventFd event, Doorbell doorbell) {
        if (assigned.remove(new Assigned(event, doorbell))) {
            try {
                vm.unassignIoeventfd(event, doorbell);
            } catch (ErrnoException e) {
                // it is assigned: nothing can go wrong
                throw new IllegalStateException(e);
            }
        }
    }
}
