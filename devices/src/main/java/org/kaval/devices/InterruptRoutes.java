package org.kaval.devices;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.TreeMap;
import org.kaval.kvm.Capability;
import org.kaval.kvm.KvmVm;
import org.kaval.kvm.KvmVm.InterruptRoute;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;

/// The one owner of a machine's interrupt routing: numbers 0 to 23 go to the pins of the interrupt
/// controllers in the kernel, as they do by themselves; the numbers behind are messages.
///
/// Any thread (guarded by this), as long as the machine is open.
public final class InterruptRoutes implements MessageInterrupts {
    /// How many interrupts have pins: those of the IOAPIC.
    public static final int PINS = 24;

    private static final int PIC_PINS = 8;
    private static final int PIC_MASTER = 0;
    private static final int PIC_SLAVE = 1;
    private static final int IOAPIC = 2;

    /// A guest can change a route for ever; the log is told of the first few failures.
    private static final int LOGGED_FAILURES = 4;

    private static final Logger LOG = System.getLogger(InterruptRoutes.class.getName());

    private final KvmVm vm;
    private final int limit;
    private final BitSet taken = new BitSet();
    private final TreeMap<Integer, InterruptRoute> messages = new TreeMap<>();
    private int failures;

    /// @param vm has its irqchip, and its routes as they are at first
    public InterruptRoutes(KvmVm vm) {
        this.vm = vm;
        this.limit = vm.check(Capability.IRQ_ROUTING);
        taken.set(0, PINS);
    }

    /// @throws IllegalStateException if the kernel has no more numbers
    @Override
    public synchronized MessageInterrupt open(String name) throws ErrnoException {
        int gsi = taken.nextClearBit(0);
        if (gsi >= limit) {
            throw new IllegalStateException("more than %d interrupts".formatted(limit));
        }
        EventFd event = EventFd.create(name);
        try {
            vm.assignIrqfd(event, gsi);
        } catch (ErrnoException e) {
            event.close();
            throw e;
        }
        taken.set(gsi);
        return new Message(gsi, event);
    }

    /// All routes, as the kernel is told.
    synchronized List<InterruptRoute> routes() {
        var routes = new ArrayList<InterruptRoute>();
        for (int gsi = 0; gsi < PINS; gsi++) {
            if (gsi < 2 * PIC_PINS) {
                int chip = gsi < PIC_PINS ? PIC_MASTER : PIC_SLAVE;
                routes.add(new InterruptRoute.Pin(gsi, chip, gsi % PIC_PINS));
            }
            routes.add(new InterruptRoute.Pin(gsi, IOAPIC, gsi));
        }
        routes.addAll(messages.values());
        return routes;
    }

    private synchronized void route(int gsi, long address, int data) {
        var route = new InterruptRoute.Message(gsi, address, data);
        if (!route.equals(messages.put(gsi, route))) {
            tell();
        }
    }

    private synchronized void release(int gsi) {
        taken.clear(gsi);
        if (messages.remove(gsi) != null) {
            tell();
        }
    }

    private void tell() {
        try {
            vm.setInterruptRoutes(routes());
        } catch (ErrnoException e) {
            if (++failures <= LOGGED_FAILURES) {
                LOG.log(Level.WARNING, "{0}", e.getMessage());
            }
        }
    }

    private final class Message implements MessageInterrupt {
        private final int gsi;
        private final EventFd event;

        Message(int gsi, EventFd event) {
            this.gsi = gsi;
            this.event = event;
        }

        @Override
        public void route(long address, int data) {
            InterruptRoutes.this.route(gsi, address, data);
        }

        @Override
        public EventFd event() {
            return event;
        }

        @Override
        public void pulse() {
            event.signal();
        }

        @Override
        public void close() {
            event.close(); // which unassigns it
            release(gsi);
        }
    }
}
