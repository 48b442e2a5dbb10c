package org.kaval.kvm;

import static org.kaval.kvm.abi.KvmAbi.KVM_GET_DEBUGREGS;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_LAPIC;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_MP_STATE;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_REGS;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_SREGS2;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_VCPU_EVENTS;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_XCRS;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_DEBUGREGS;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_LAPIC;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_MP_STATE;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_REGS;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_SREGS2;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_VCPU_EVENTS;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_XCRS;

/// The parts of a vCPU's state that are one kernel structure of fixed size each. The rest are its
/// MSRs, its CPUID and its extended state ({@link KvmVcpu#getXsave}).
public enum KvmVcpuState {
    /// `struct kvm_mp_state`: running, halted, waiting to be started.
    MP_STATE("MP_STATE", KVM_GET_MP_STATE(), KVM_SET_MP_STATE()),
    /// `struct kvm_regs`.
    REGS("REGS", KVM_GET_REGS(), KVM_SET_REGS()),
    /// `struct kvm_sregs2`.
    SREGS2("SREGS2", KVM_GET_SREGS2(), KVM_SET_SREGS2()),
    /// `struct kvm_xcrs`: the extended control registers, XCR0 among them.
    XCRS("XCRS", KVM_GET_XCRS(), KVM_SET_XCRS()),
    /// `struct kvm_debugregs`.
    DEBUGREGS("DEBUGREGS", KVM_GET_DEBUGREGS(), KVM_SET_DEBUGREGS()),
    /// `struct kvm_lapic_state`: needs the in-kernel irqchip.
    LAPIC("LAPIC", KVM_GET_LAPIC(), KVM_SET_LAPIC()),
    /// `struct kvm_vcpu_events`: pending exceptions, interrupts, NMIs.
    VCPU_EVENTS("VCPU_EVENTS", KVM_GET_VCPU_EVENTS(), KVM_SET_VCPU_EVENTS());

    @SuppressWarnings("Immutable") // a record of numbers and a string
    final StatePart part;

    KvmVcpuState(String kernelName, long getRequest, long setRequest) {
        this.part = new StatePart(kernelName, getRequest, setRequest, 0);
    }
}
