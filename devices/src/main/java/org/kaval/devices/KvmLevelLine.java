package org.kaval.devices;

import org.kaval.kvm.KvmVm;
import org.kaval.linux.ErrnoException;

/// A line of the in-kernel irqchip that is set with a system call each time.
///
/// Any thread, as long as the machine is open.
///
/// @param gsi the line's number: 0 to 15 are the ISA interrupts, 16 to 23 the IOAPIC's further pins
public record KvmLevelLine(KvmVm vm, int gsi) implements LevelLine {
    @Override
    public void set(boolean high) {
        try {
            vm.setIrqLine(gsi, high);
        } catch (ErrnoException e) {
            // the machine has an irqchip, and the kernel masks the number: nothing can go wrong
            throw new IllegalStateException(e);
        }
    }
}
