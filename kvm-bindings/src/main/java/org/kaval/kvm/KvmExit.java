package org.kaval.kvm;

import org.kaval.kvm.abi.KvmAbi;

/// Why `KVM_RUN` returned (KVM API, section 5, `exit_reason`): the values, with the kernel's names
/// less `KVM_EXIT_`, and the values that go with some of them.
public final class KvmExit {
    public static final int UNKNOWN = KvmAbi.KVM_EXIT_UNKNOWN();
    public static final int EXCEPTION = KvmAbi.KVM_EXIT_EXCEPTION();
    public static final int IO = KvmAbi.KVM_EXIT_IO();
    public static final int HYPERCALL = KvmAbi.KVM_EXIT_HYPERCALL();
    public static final int DEBUG = KvmAbi.KVM_EXIT_DEBUG();
    public static final int HLT = KvmAbi.KVM_EXIT_HLT();
    public static final int MMIO = KvmAbi.KVM_EXIT_MMIO();
    public static final int IRQ_WINDOW_OPEN = KvmAbi.KVM_EXIT_IRQ_WINDOW_OPEN();
    public static final int SHUTDOWN = KvmAbi.KVM_EXIT_SHUTDOWN();
    public static final int FAIL_ENTRY = KvmAbi.KVM_EXIT_FAIL_ENTRY();
    public static final int INTR = KvmAbi.KVM_EXIT_INTR();
    public static final int SET_TPR = KvmAbi.KVM_EXIT_SET_TPR();
    public static final int TPR_ACCESS = KvmAbi.KVM_EXIT_TPR_ACCESS();
    public static final int NMI = KvmAbi.KVM_EXIT_NMI();
    public static final int INTERNAL_ERROR = KvmAbi.KVM_EXIT_INTERNAL_ERROR();
    public static final int SYSTEM_EVENT = KvmAbi.KVM_EXIT_SYSTEM_EVENT();
    public static final int IOAPIC_EOI = KvmAbi.KVM_EXIT_IOAPIC_EOI();
    public static final int HYPERV = KvmAbi.KVM_EXIT_HYPERV();
    public static final int X86_RDMSR = KvmAbi.KVM_EXIT_X86_RDMSR();
    public static final int X86_WRMSR = KvmAbi.KVM_EXIT_X86_WRMSR();
    public static final int DIRTY_RING_FULL = KvmAbi.KVM_EXIT_DIRTY_RING_FULL();
    public static final int X86_BUS_LOCK = KvmAbi.KVM_EXIT_X86_BUS_LOCK();
    public static final int NOTIFY = KvmAbi.KVM_EXIT_NOTIFY();
    public static final int MEMORY_FAULT = KvmAbi.KVM_EXIT_MEMORY_FAULT();

    /// More than any reason that Linux 6.12 has; for tables indexed by reason.
    public static final int LIMIT = 64;

    /// The kernel's emulator met an instruction that it does not know.
    public static final int INTERNAL_ERROR_EMULATION = KvmAbi.KVM_INTERNAL_ERROR_EMULATION();

    /// A fault while delivering a fault, in the kernel's bookkeeping.
    public static final int INTERNAL_ERROR_SIMUL_EX = KvmAbi.KVM_INTERNAL_ERROR_SIMUL_EX();

    /// A fault while an event was being delivered to the guest.
    public static final int INTERNAL_ERROR_DELIVERY_EV = KvmAbi.KVM_INTERNAL_ERROR_DELIVERY_EV();

    /// An exit of the processor that the kernel does not handle.
    public static final int INTERNAL_ERROR_UNEXPECTED_EXIT_REASON =
            KvmAbi.KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON();

    public static final int SYSTEM_EVENT_SHUTDOWN = KvmAbi.KVM_SYSTEM_EVENT_SHUTDOWN();
    public static final int SYSTEM_EVENT_RESET = KvmAbi.KVM_SYSTEM_EVENT_RESET();
    public static final int SYSTEM_EVENT_CRASH = KvmAbi.KVM_SYSTEM_EVENT_CRASH();

    static final int IO_OUT = KvmAbi.KVM_EXIT_IO_OUT();

    private KvmExit() {}

    /// The kernel's name of `reason` less `KVM_EXIT_`, or `exit N` if this class has none.
    public static String name(int reason) {
        return reason >= 0 && reason < LIMIT && NAMES[reason] != null
                ? NAMES[reason]
                : "exit " + reason;
    }

    private static final @org.jspecify.annotations.Nullable String[] NAMES = names();

    private static @org.jspecify.annotations.Nullable String[] names() {
        var names = new String[LIMIT];
        names[UNKNOWN] = "UNKNOWN";
        names[EXCEPTION] = "EXCEPTION";
        names[IO] = "IO";
        names[HYPERCALL] = "HYPERCALL";
        names[DEBUG] = "DEBUG";
        names[HLT] = "HLT";
        names[MMIO] = "MMIO";
        names[IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN";
        names[SHUTDOWN] = "SHUTDOWN";
        names[FAIL_ENTRY] = "FAIL_ENTRY";
        names[INTR] = "INTR";
        names[SET_TPR] = "SET_TPR";
        names[TPR_ACCESS] = "TPR_ACCESS";
        names[NMI] = "NMI";
        names[INTERNAL_ERROR] = "INTERNAL_ERROR";
        names[SYSTEM_EVENT] = "SYSTEM_EVENT";
        names[IOAPIC_EOI] = "IOAPIC_EOI";
        names[HYPERV] = "HYPERV";
        names[X86_RDMSR] = "X86_RDMSR";
        names[X86_WRMSR] = "X86_WRMSR";
        names[DIRTY_RING_FULL] = "DIRTY_RING_FULL";
        names[X86_BUS_LOCK] = "X86_BUS_LOCK";
        names[NOTIFY] = "NOTIFY";
        names[MEMORY_FAULT] = "MEMORY_FAULT";
        return names;
    }
}
