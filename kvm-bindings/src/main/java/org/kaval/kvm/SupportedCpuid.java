package org.kaval.kvm;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.ErrnoException;

/// What KVM shows of the processor, which it is asked for once for as long as this process has
/// something of it open: the modules that have said so stay loaded that long. KVM executes CPUID
/// for each leaf, which takes a millisecond or more under another hypervisor.
///
/// Any thread (guarded by this).
final class SupportedCpuid {
    /// Of this process.
    static final SupportedCpuid SHARED = new SupportedCpuid();

    private int holders;
    private @Nullable List<CpuidEntry> known;

    /// What asks the kernel.
    @FunctionalInterface
    interface Source {
        List<CpuidEntry> read() throws ErrnoException;
    }

    /// Says that a device or a machine has been opened.
    synchronized void hold() {
        holders++;
    }

    /// Says that one is being closed: what one that is opened later says may be other.
    synchronized void release() {
        holders--;
        if (holders == 0) {
            known = null;
        }
    }

    /// Who asks {@link #hold holds} it.
    synchronized List<CpuidEntry> get(Source source) throws ErrnoException {
        List<CpuidEntry> leaves = known;
        if (leaves == null) {
            leaves = List.copyOf(source.read());
            known = leaves;
        }
        return leaves;
    }
}
