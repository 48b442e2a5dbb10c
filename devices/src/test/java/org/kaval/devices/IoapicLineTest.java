package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;
import org.kaval.kvm.Kvm;
import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVm;
import org.kaval.kvm.KvmVmState;
import org.kaval.testing.NeedsKvm;

@NeedsKvm
class IoapicLineTest {
    private static final int GSI = 13;
    private static final int VECTOR = 0x41;

    /// The offset of `irr` in `struct kvm_irqchip`, behind `chip_id`, `pad` and `last_irr`.
    private static final int PIC_REQUESTS = 9;

    /// The offset of `redirtbl`: `struct kvm_ioapic_state` begins with the base address and four
    /// words.
    private static final int IOAPIC_TABLE = 8 + 8 + 4 * 4;

    private static InterruptLine line(KvmVm vm) {
        return new IoapicLine(vm, new KvmLevelLine(vm, GSI), GSI);
    }

    @Test
    void whoHasNotAskedForItAtTheIoapicDoesNotGetItFromThe8259() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            LocalApic.enabled(vm);

            line(vm).pulse();

            assertEquals(0, vm.getState(KvmVmState.PIC_SLAVE)[PIC_REQUESTS]);
        }
    }

    @Test
    void whoHasAskedForItGetsIt() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            KvmVcpu vcpu = LocalApic.enabled(vm);
            byte[] ioapic = vm.getState(KvmVmState.IOAPIC);
            ByteBuffer.wrap(ioapic)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(IOAPIC_TABLE + GSI * Long.BYTES, VECTOR);
            vm.setState(KvmVmState.IOAPIC, ioapic);
            assertFalse(LocalApic.isRequested(vcpu, VECTOR));

            line(vm).pulse();

            assertTrue(LocalApic.isRequested(vcpu, VECTOR));
        }
    }
}
