package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;
import org.kaval.kvm.Kvm;
import org.kaval.kvm.KvmVm;
import org.kaval.kvm.KvmVmState;
import org.kaval.testing.NeedsKvm;

@NeedsKvm
class KvmLevelLineTest {
    /// The offset of `irr` in `struct kvm_irqchip` of an IOAPIC, behind `chip_id`, `pad`,
    /// `base_address`, `ioregsel` and `id`.
    private static final int IOAPIC_REQUESTS = 24;

    private static int requests(KvmVm vm) throws Exception {
        return ByteBuffer.wrap(vm.getState(KvmVmState.IOAPIC))
                .order(ByteOrder.LITTLE_ENDIAN)
                .getInt(IOAPIC_REQUESTS);
    }

    @Test
    void levelIsSeenByTheInterruptController() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            vm.createIrqchip();
            vm.createVcpu(0);
            var line = new KvmLevelLine(vm, 20);

            line.set(true);
            assertEquals(1 << 20, requests(vm));
            line.set(false);

            assertEquals(0, requests(vm));
        }
    }

    /// Most boards have the timer on pin 2. The MADT says nothing of interrupt 0, which means pin
    /// 0.
    @Test
    void interruptOfTheTimerIsOnPinZero() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            vm.createIrqchip();
            vm.createVcpu(0);

            new KvmLevelLine(vm, 0).set(true);

            assertEquals(1, requests(vm));
        }
    }

    @Test
    void machineWithoutInterruptControllerIsABug() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            assertThrows(IllegalStateException.class, () -> new KvmLevelLine(vm, 20).set(true));
        }
    }
}
