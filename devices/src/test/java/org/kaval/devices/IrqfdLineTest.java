package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.kaval.kvm.Kvm;
import org.kaval.kvm.KvmVm;
import org.kaval.kvm.KvmVmState;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;
import org.kaval.testing.NeedsKvm;

@NeedsKvm
class IrqfdLineTest {
    /// The offset of `irr` in `struct kvm_irqchip`, behind `chip_id`, `pad` and `last_irr`.
    private static final int PIC_REQUESTS = 9;

    @Test
    void pulseIsARequestAtTheInterruptController() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            vm.createIrqchip();
            vm.createVcpu(0);
            try (IrqfdLine line = IrqfdLine.open(vm, 5)) {
                assertEquals(0, line.pulses());
                line.pulse();
                assertEquals(1, line.pulses());

                Host.until(
                        "the request of line 5 is there",
                        () -> vm.getState(KvmVmState.PIC_MASTER)[PIC_REQUESTS] == 1 << 5);
            }
        }
    }

    @Test
    void pulseAllocatesNothingBesideTheSystemCall() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm();
                EventFd event = EventFd.create("nobody's")) {
            vm.createIrqchip();
            // where only C1 compiles, the JDK's native calls leave the slice in which they put
            // errno
            long systemCall = Host.allocatedBytes(event::drain);
            try (IrqfdLine line = IrqfdLine.open(vm, 5)) {
                assertEquals(systemCall, Host.allocatedBytes(line::pulse));
            }
        }
    }

    @Test
    void machineWithoutInterruptControllerIsRefusedAndNothingLeaks() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            long before = eventDescriptors();

            var refused = assertThrows(ErrnoException.class, () -> IrqfdLine.open(vm, 5));

            assertEquals("KVM_IRQFD", refused.operation());
            assertEquals(Errno.EINVAL, refused.errno());
            assertEquals(before, eventDescriptors());
        }
    }

    private static long eventDescriptors() throws Exception {
        try (var entries = Files.list(Path.of("/proc/self/fd"))) {
            return entries.filter(IrqfdLineTest::isEvent).count();
        }
    }

    private static boolean isEvent(Path descriptor) {
        try {
            return Files.readSymbolicLink(descriptor).toString().contains("[eventfd]");
        } catch (java.io.IOException e) {
            return false; // closed since it was listed
        }
    }
}
