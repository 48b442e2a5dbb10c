package org.kaval.devices;

import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVcpuState;
import org.kaval.kvm.KvmVm;
import org.kaval.linux.ErrnoException;

/// The local APIC of a vCPU, to which interrupts come.
final class LocalApic {
    private LocalApic() {}

    /// Creates the interrupt controllers of a machine and its first vCPU.
    static KvmVcpu enabled(KvmVm vm) throws ErrnoException {
        vm.createIrqchip();
        KvmVcpu vcpu = vm.createVcpu(0);
        byte[] apic = vcpu.getState(KvmVcpuState.LAPIC);
        apic[0xf1] |= 1; // spurious-interrupt register, bit 8: enabled
        vcpu.setState(KvmVcpuState.LAPIC, apic);
        return vcpu;
    }

    /// By the request register: 32 bits every 16 bytes (Intel SDM 3A, 12.8.4).
    static boolean isRequested(KvmVcpu vcpu, int vector) throws ErrnoException {
        int at = 0x200 + vector / 32 * 16 + vector % 32 / 8;
        return (vcpu.getState(KvmVcpuState.LAPIC)[at] & 1 << vector % 8) != 0;
    }
}
