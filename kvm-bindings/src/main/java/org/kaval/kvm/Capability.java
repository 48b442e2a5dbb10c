package org.kaval.kvm;

import org.kaval.kvm.abi.KvmAbi;

/// The optional parts of KVM that Kaval uses, with the kernel's names less `KVM_CAP_`, and what is
/// lost without each.
public enum Capability {
    ADJUST_CLOCK(KvmAbi.KVM_CAP_ADJUST_CLOCK(), Need.WANTED, "guest time jumps after a restore"),
    CHECK_EXTENSION_VM(
            KvmAbi.KVM_CAP_CHECK_EXTENSION_VM(), Need.REQUIRED, "limits of a machine are unknown"),
    DEBUGREGS(KvmAbi.KVM_CAP_DEBUGREGS(), Need.WANTED, "snapshots lose the debug registers"),
    EXT_CPUID(KvmAbi.KVM_CAP_EXT_CPUID(), Need.REQUIRED, "a guest has no CPUID"),
    GET_TSC_KHZ(
            KvmAbi.KVM_CAP_GET_TSC_KHZ(), Need.WANTED, "guests measure their TSC, which is slow"),
    IMMEDIATE_EXIT(KvmAbi.KVM_CAP_IMMEDIATE_EXIT(), Need.REQUIRED, "a vCPU cannot be stopped"),
    IOEVENTFD(KvmAbi.KVM_CAP_IOEVENTFD(), Need.REQUIRED, "doorbells of devices"),
    IRQCHIP(KvmAbi.KVM_CAP_IRQCHIP(), Need.REQUIRED, "a guest has no interrupts"),
    IRQFD(KvmAbi.KVM_CAP_IRQFD(), Need.REQUIRED, "interrupts of devices"),
    IRQ_ROUTING(
            KvmAbi.KVM_CAP_IRQ_ROUTING(), Need.REQUIRED, "PCI devices have no message interrupts"),
    MAX_VCPUS(KvmAbi.KVM_CAP_MAX_VCPUS(), Need.WANTED, "the limit of vCPUs is taken to be 4"),
    MP_STATE(KvmAbi.KVM_CAP_MP_STATE(), Need.REQUIRED, "more than one vCPU"),
    NR_MEMSLOTS(KvmAbi.KVM_CAP_NR_MEMSLOTS(), Need.WANTED, "the limit of memory slots is unknown"),
    PIT2(KvmAbi.KVM_CAP_PIT2(), Need.REQUIRED, "a guest has no 8254 timer"),
    PIT_STATE2(KvmAbi.KVM_CAP_PIT_STATE2(), Need.WANTED, "snapshots lose the 8254 timer"),
    SET_IDENTITY_MAP_ADDR(
            KvmAbi.KVM_CAP_SET_IDENTITY_MAP_ADDR(), Need.WANTED, "firmware on old VT-x processors"),
    SET_GUEST_DEBUG(KvmAbi.KVM_CAP_SET_GUEST_DEBUG(), Need.WANTED, "single-stepping a guest"),
    SET_TSS_ADDR(KvmAbi.KVM_CAP_SET_TSS_ADDR(), Need.WANTED, "real mode on old VT-x processors"),
    SREGS2(KvmAbi.KVM_CAP_SREGS2(), Need.REQUIRED, "a vCPU cannot be set up (Linux 5.14 has it)"),
    TSC_DEADLINE_TIMER(
            KvmAbi.KVM_CAP_TSC_DEADLINE_TIMER(), Need.WANTED, "guest timers cost more exits"),
    USER_MEMORY(KvmAbi.KVM_CAP_USER_MEMORY(), Need.REQUIRED, "a guest has no memory"),
    VCPU_EVENTS(KvmAbi.KVM_CAP_VCPU_EVENTS(), Need.WANTED, "snapshots lose pending interrupts"),
    XCRS(KvmAbi.KVM_CAP_XCRS(), Need.WANTED, "snapshots lose XCR0"),
    XSAVE(KvmAbi.KVM_CAP_XSAVE(), Need.WANTED, "snapshots lose the floating-point state"),
    XSAVE2(KvmAbi.KVM_CAP_XSAVE2(), Need.WANTED, "snapshots lose state beyond 4 KiB, as of AMX");

    /// How much Kaval needs a capability.
    public enum Need {
        /// Nothing runs without it.
        REQUIRED,
        /// One thing is lost without it.
        WANTED
    }

    private final int number;
    private final Need need;
    private final String withoutIt;

    Capability(int number, Need need, String withoutIt) {
        this.number = number;
        this.need = need;
        this.withoutIt = withoutIt;
    }

    /// The kernel's number, `KVM_CAP_…`.
    public int number() {
        return number;
    }

    public Need need() {
        return need;
    }

    /// What is lost where it is missing.
    public String withoutIt() {
        return withoutIt;
    }
}
