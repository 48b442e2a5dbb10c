package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.kvm.Kvm;
import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVm;
import org.kaval.kvm.KvmVmState;
import org.kaval.testing.NeedsKvm;

@NeedsKvm
class WantedLineTest {
    private static final int GSI = 13;
    private static final int VECTOR = 0x41;

    // struct kvm_irqchip: chip_id and pad, then struct kvm_pic_state: last_irr, irr, imr, isr,
    // priority_add, irq_base
    private static final int PIC_REQUESTS = 9;
    private static final int PIC_MASK = 10;
    private static final int PIC_BASE = 13;

    /// The offset of `redirtbl`: `struct kvm_ioapic_state` begins with the base address and four
    /// words.
    private static final int IOAPIC_TABLE = 8 + 8 + 4 * 4;

    private static InterruptLine line(KvmVm vm) {
        return new WantedLine(vm, new KvmLevelLine(vm, GSI), GSI);
    }

    @Test
    void whoHasSetNothingUpDoesNotGetIt() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            LocalApic.enabled(vm);

            line(vm).pulse();

            assertEquals(0, vm.getState(KvmVmState.PIC_SLAVE)[PIC_REQUESTS]);
        }
    }

    @Test
    void whoHasAskedForItAtTheIoapicGetsIt() throws Exception {
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

    @ParameterizedTest
    @CsvSource({"0x00, 0x00, true", "0x00, 0x20, false", "0x04, 0x00, false", "0xfb, 0xdf, true"})
    void whoHasAskedForItAtThe8259sGetsIt(int masterMask, int slaveMask, boolean gets)
            throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            LocalApic.enabled(vm);
            setUp(vm, KvmVmState.PIC_MASTER, 0x30, masterMask);
            setUp(vm, KvmVmState.PIC_SLAVE, 0x38, slaveMask);

            line(vm).pulse();

            int requests = vm.getState(KvmVmState.PIC_SLAVE)[PIC_REQUESTS];
            assertEquals(gets ? 1 << (GSI - 8) : 0, requests);
        }
    }

    private static void setUp(KvmVm vm, KvmVmState pic, int base, int mask) throws Exception {
        byte[] state = vm.getState(pic);
        state[PIC_BASE] = (byte) base;
        state[PIC_MASK] = (byte) mask;
        vm.setState(pic, state);
    }
}
