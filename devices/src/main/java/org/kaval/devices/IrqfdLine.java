package org.kaval.devices;

import java.util.concurrent.atomic.AtomicLong;
import org.kaval.kvm.KvmVm;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;

/// An edge-triggered line of the in-kernel irqchip, pulled through an eventfd: a system call, but
/// no exit and no lock of this process.
public final class IrqfdLine implements InterruptLine, AutoCloseable {
    private final EventFd event;
    private final AtomicLong pulses = new AtomicLong();

    private IrqfdLine(EventFd event) {
        this.event = event;
    }

    /// @param gsi the line's number: 0 to 15 are the ISA interrupts
    public static IrqfdLine open(KvmVm vm, int gsi) throws ErrnoException {
        EventFd event = EventFd.create("interrupt " + gsi);
        try {
            vm.assignIrqfd(event, gsi);
        } catch (ErrnoException e) {
            event.close();
            throw e;
        }
        return new IrqfdLine(event);
    }

    @Override
    public void pulse() {
        pulses.getAndIncrement();
        event.signal();
    }

    /// How often it has been pulled.
    public long pulses() {
        return pulses.get();
    }

    /// The devices that pull it must have ended.
    @Override
    public void close() {
        event.close();
    }
}
