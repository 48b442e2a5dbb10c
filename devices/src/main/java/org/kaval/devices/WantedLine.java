package org.kaval.devices;

import org.kaval.kvm.KvmVm;
import org.kaval.kvm.KvmVmState;
import org.kaval.linux.ErrnoException;

/// An edge-triggered line of the in-kernel irqchip that is pulled only if the guest has set up an
/// interrupt controller to pass it on, so that one that knows nothing of the device is not crashed
/// by it: 8259s that nobody has set up mask nothing.
///
/// Any thread, as long as the machine is open.
///
/// @param line the same line
/// @param gsi the line's number: 8 to 15, which the second 8259 has
public record WantedLine(KvmVm vm, LevelLine line, int gsi) implements InterruptLine {
    private static final int PIC_PINS = 8;

    /// The first 8259's pin with the second one behind it.
    private static final int CASCADE = 2;

    @Override
    public void pulse() {
        if (isWanted()) {
            line.set(true);
            line.set(false);
        }
    }

    private boolean isWanted() {
        try {
            return KvmVmState.IOAPIC.passesOn(vm, gsi)
                    || (KvmVmState.PIC_MASTER.passesOn(vm, CASCADE)
                            && KvmVmState.PIC_SLAVE.passesOn(vm, gsi - PIC_PINS));
        } catch (ErrnoException e) {
            // the machine has an irqchip: nothing can go wrong
            throw new IllegalStateException(e);
        }
    }
}
