package org.kaval.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.lang.foreign.MemoryLayout;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.kvm.abi.kvm_clock_data;
import org.kaval.kvm.abi.kvm_debugregs;
import org.kaval.kvm.abi.kvm_ioapic_state;
import org.kaval.kvm.abi.kvm_irqchip;
import org.kaval.kvm.abi.kvm_lapic_state;
import org.kaval.kvm.abi.kvm_mp_state;
import org.kaval.kvm.abi.kvm_pit_state2;
import org.kaval.kvm.abi.kvm_regs;
import org.kaval.kvm.abi.kvm_sregs2;
import org.kaval.kvm.abi.kvm_vcpu_events;
import org.kaval.kvm.abi.kvm_xcrs;

class StatePartTest {
    static Stream<Arguments> parts() {
        Stream<Arguments> ofVcpu =
                Stream.of(KvmVcpuState.values()).map(state -> arguments(state.part, layout(state)));
        Stream<Arguments> ofVm =
                Stream.of(KvmVmState.values()).map(state -> arguments(state.part, layout(state)));
        return Stream.concat(ofVcpu, ofVm);
    }

    private static MemoryLayout layout(KvmVcpuState state) {
        return switch (state) {
            case MP_STATE -> kvm_mp_state.layout();
            case REGS -> kvm_regs.layout();
            case SREGS2 -> kvm_sregs2.layout();
            case XCRS -> kvm_xcrs.layout();
            case DEBUGREGS -> kvm_debugregs.layout();
            case LAPIC -> kvm_lapic_state.layout();
            case VCPU_EVENTS -> kvm_vcpu_events.layout();
        };
    }

    private static MemoryLayout layout(KvmVmState state) {
        return switch (state) {
            case CLOCK -> kvm_clock_data.layout();
            case PIT -> kvm_pit_state2.layout();
            case PIC_MASTER, PIC_SLAVE, IOAPIC -> kvm_irqchip.layout();
        };
    }

    @ParameterizedTest
    @MethodSource("parts")
    void sizeIsTheStructures(StatePart part, MemoryLayout layout) {
        assertEquals(layout.byteSize(), part.size());
    }

    @Test
    void offsetsInTheIrqchipAreTheStructures() {
        assertEquals(kvm_irqchip.chip$offset(), KvmVmState.CHIP);
        assertEquals(kvm_ioapic_state.redirtbl$offset(), KvmVmState.REDIRECTION_TABLE);
    }
}
