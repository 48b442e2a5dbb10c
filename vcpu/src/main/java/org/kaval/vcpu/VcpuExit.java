package org.kaval.vcpu;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.kaval.kvm.KvmExit;
import org.kaval.kvm.KvmRun;
import org.kaval.linux.ErrnoException;

/// Why a guest stopped, other than for a port or a device's memory. Its text is one line for a
/// person.
public sealed interface VcpuExit {
    /// `HLT` where there is no in-kernel irqchip, which would handle it.
    record Halted() implements VcpuExit {
        @Override
        public String toString() {
            return "halted";
        }
    }

    /// The processor shut down: a triple fault.
    record Shutdown() implements VcpuExit {
        @Override
        public String toString() {
            return "triple fault";
        }
    }

    /// The guest asked the kernel for something that concerns the whole machine.
    ///
    /// @param type one of {@link KvmExit}'s `SYSTEM_EVENT_` constants
    record SystemEvent(int type, List<Long> data) implements VcpuExit {
        @Override
        public String toString() {
            return "system event %d %s".formatted(type, hex(data));
        }
    }

    /// The kernel could not go on with this guest, for instance as its emulator does not know an
    /// instruction.
    ///
    /// @param suberror one of {@link KvmExit}'s `INTERNAL_ERROR_` constants, or another
    /// @param data what the kernel says more; for an emulation error its flags, the instruction's
    ///   length and its bytes
    record KvmInternalError(int suberror, List<Long> data) implements VcpuExit {
        @Override
        public String toString() {
            String what;
            if (suberror == KvmExit.INTERNAL_ERROR_EMULATION) {
                what = "emulation failure";
            } else if (suberror == KvmExit.INTERNAL_ERROR_SIMUL_EX) {
                what = "simultaneous exceptions";
            } else if (suberror == KvmExit.INTERNAL_ERROR_DELIVERY_EV) {
                what = "fault while an event was delivered";
            } else if (suberror == KvmExit.INTERNAL_ERROR_UNEXPECTED_EXIT_REASON) {
                what = "unexpected exit of the processor";
            } else {
                what = "suberror " + suberror;
            }
            return "KVM internal error: %s %s".formatted(what, hex(data));
        }
    }

    /// The processor refused to enter the guest.
    ///
    /// @param reason the processor's own
    record FailedEntry(long reason) implements VcpuExit {
        @Override
        public String toString() {
            return "the processor refused to enter the guest, reason 0x%x".formatted(reason);
        }
    }

    /// A debug event, as single steps are.
    ///
    /// @param address linear
    /// @param exception 1 for a step or a hardware breakpoint, 3 for `int3`
    record Debug(long address, int exception) implements VcpuExit {
        @Override
        public String toString() {
            return "debug exception %d at 0x%x".formatted(exception, address);
        }
    }

    /// `KVM_RUN` itself failed.
    record RunFailed(ErrnoException cause) implements VcpuExit {
        @Override
        public String toString() {
            return String.valueOf(cause.getMessage());
        }
    }

    /// Anything else.
    ///
    /// @param reason one of {@link KvmExit}, or what that class does not name
    record Other(int reason) implements VcpuExit {
        @Override
        public String toString() {
            return "unexpected KVM exit: " + KvmExit.name(reason);
        }
    }

    /// What `run` says, for a reason that is no port or memory access.
    static VcpuExit of(int reason, KvmRun run) {
        if (reason == KvmExit.HLT) {
            return new Halted();
        } else if (reason == KvmExit.SHUTDOWN) {
            return new Shutdown();
        } else if (reason == KvmExit.SYSTEM_EVENT) {
            return new SystemEvent(run.systemEventType(), list(run.systemEventData()));
        } else if (reason == KvmExit.INTERNAL_ERROR) {
            return new KvmInternalError(run.internalSuberror(), list(run.internalData()));
        } else if (reason == KvmExit.FAIL_ENTRY) {
            return new FailedEntry(run.failEntryReason());
        } else if (reason == KvmExit.DEBUG) {
            return new Debug(run.debugAddress(), run.debugException());
        } else {
            return new Other(reason);
        }
    }

    private static List<Long> list(long[] values) {
        return Arrays.stream(values).boxed().toList();
    }

    private static String hex(List<Long> data) {
        return data.stream().map("0x%x"::formatted).collect(Collectors.joining(" ", "[", "]"));
    }
}
