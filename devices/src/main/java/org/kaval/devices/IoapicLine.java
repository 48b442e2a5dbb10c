package org.kaval.devices;

import org.kaval.kvm.KvmVm;
import org.kaval.kvm.KvmVmState;
import org.kaval.linux.ErrnoException;

/// An edge-triggered line of the in-kernel irqchip that is pulled only if the IOAPIC passes it on:
/// the 8259s, which have a pin for it as well, pass on all that a guest has not masked there, which
/// crashes one that knows nothing of the device.
///
/// Any thread, as long as the machine is open.
///
/// @param line the same line
/// @param gsi the line's number, 0 to 23
public record IoapicLine(KvmVm vm, LevelLine line, int gsi) implements InterruptLine {
    @Override
    public void pulse() {
        try {
            if (!KvmVmState.isUnmasked(vm.getState(KvmVmState.IOAPIC), gsi)) {
                return;
            }
        } catch (ErrnoException e) {
            // the machine has an irqchip: nothing can go wrong
            throw new IllegalStateException(e);
        }
        line.set(true);
        line.set(false);
    }
}
