package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.kaval.devices.MessageInterrupts.MessageInterrupt;
import org.kaval.kvm.Kvm;
import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVcpuState;
import org.kaval.kvm.KvmVm;
import org.kaval.kvm.KvmVm.InterruptRoute;
import org.kaval.kvm.KvmVmState;
import org.kaval.testing.NeedsKvm;

@NeedsKvm
class InterruptRoutesTest {
    private static final long LOCAL_APIC = 0xfee0_0000L;

    /// The offset of `irr` in `struct kvm_irqchip`, behind `chip_id`, `pad` and `last_irr`.
    private static final int PIC_REQUESTS = 9;

    /// The request register of a local APIC: 32 bits every 16 bytes (Intel SDM 3A, 12.8.4).
    private static boolean isRequested(KvmVcpu vcpu, int vector) throws Exception {
        int at = 0x200 + vector / 32 * 16 + vector % 32 / 8;
        return (vcpu.getState(KvmVcpuState.LAPIC)[at] & 1 << vector % 8) != 0;
    }

    private static KvmVcpu withApic(KvmVm vm) throws Exception {
        vm.createIrqchip();
        KvmVcpu vcpu = vm.createVcpu(0);
        byte[] apic = vcpu.getState(KvmVcpuState.LAPIC);
        apic[0xf1] |= 1; // spurious-interrupt register, bit 8: enabled
        vcpu.setState(KvmVcpuState.LAPIC, apic);
        return vcpu;
    }

    @Test
    void messagesGoWhereTheyAreRouted() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            KvmVcpu vcpu = withApic(vm);
            var routes = new InterruptRoutes(vm);
            try (MessageInterrupt one = routes.open("one");
                    MessageInterrupt other = routes.open("other")) {
                one.route(LOCAL_APIC, 0x41);
                other.route(LOCAL_APIC, 0x82);
                other.pulse();
                Host.until("0x82 is requested", () -> isRequested(vcpu, 0x82));
                assertFalse(isRequested(vcpu, 0x41));

                one.route(LOCAL_APIC, 0x43);
                one.pulse();

                Host.until("0x43 is requested", () -> isRequested(vcpu, 0x43));
                assertFalse(isRequested(vcpu, 0x41));
            }
        }
    }

    @Test
    void pinsStayWhereTheyAre() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            withApic(vm);
            var routes = new InterruptRoutes(vm);
            try (IrqfdLine line = IrqfdLine.open(vm, 5);
                    MessageInterrupt message = routes.open("message")) {
                message.route(LOCAL_APIC, 0x41);

                line.pulse();

                Host.until(
                        "the request of line 5 is there",
                        () -> vm.getState(KvmVmState.PIC_MASTER)[PIC_REQUESTS] == 1 << 5);
            }
        }
    }

    @Test
    void numberOfAClosedMessageIsUsedAgain() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            withApic(vm);
            var routes = new InterruptRoutes(vm);
            int pins = routes.routes().size();
            try (MessageInterrupt message = routes.open("message")) {
                message.route(LOCAL_APIC, 0x41);
                assertTrue(
                        routes.routes().contains(new InterruptRoute.Message(24, LOCAL_APIC, 0x41)));
            }
            assertEquals(pins, routes.routes().size());
            try (MessageInterrupt message = routes.open("message")) {
                message.route(LOCAL_APIC, 0x42);
                assertTrue(
                        routes.routes().contains(new InterruptRoute.Message(24, LOCAL_APIC, 0x42)));
            }
        }
    }
}
