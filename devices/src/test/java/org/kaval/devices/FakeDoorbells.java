package org.kaval.devices;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.kaval.kvm.KvmVm.Doorbell;
import org.kaval.linux.EventFd;

/// Doorbells that nobody takes; it notes which there are.
public final class FakeDoorbells implements Doorbells {
    private final List<Doorbell> assigned = new CopyOnWriteArrayList<>();

    public FakeDoorbells() {}

    /// Those that are assigned now.
    public List<Doorbell> assigned() {
        return List.copyOf(assigned);
    }

    @Override
    public void assign(EventFd event, Doorbell doorbell) {
        assigned.add(doorbell);
    }

    @Override
    public void unassign(EventFd event, Doorbell doorbell) {
        assigned.remove(doorbell);
    }
}
