package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.kaval.devices.MessageInterrupts.MessageInterrupt;
import org.kaval.kvm.Kvm;
import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVm;
import org.kaval.kvm.KvmVm.InterruptRoute;
import org.kaval.kvm.KvmVmState;
import org.kaval.testing.NeedsKvm;

@NeedsKvm
class InterruptRoutesTest {
    private static final long LOCAL_APIC = 0xfee0_0000L;

    /// The offset of `irr` in `struct kvm_irqchip`, behind `chip_id`, `pad` and `last_irr`.
    private static final int PIC_REQUESTS = 9;

    @Test
    void messagesGoWhereTheyAreRouted() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            KvmVcpu vcpu = LocalApic.enabled(vm);
            var routes = new InterruptRoutes(vm);
            try (MessageInterrupt one = routes.open("one");
                    MessageInterrupt other = routes.open("other")) {
                one.route(LOCAL_APIC, 0x41);
                other.route(LOCAL_APIC, 0x82);
                other.pulse();
                Host.until("0x82 is requested", () -> LocalApic.isRequested(vcpu, 0x82));
                assertFalse(LocalApic.isRequested(vcpu, 0x41));

                one.route(LOCAL_APIC, 0x43);
                one.pulse();

                Host.until("0x43 is requested", () -> LocalApic.isRequested(vcpu, 0x43));
                assertFalse(LocalApic.isRequested(vcpu, 0x41));
            }
        }
    }

    @Test
    void pinsStayWhereTheyAre() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            LocalApic.enabled(vm);
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
            LocalApic.enabled(vm);
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
