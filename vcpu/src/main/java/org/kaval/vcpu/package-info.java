/// One virtual CPU: its thread, the loop around `KVM_RUN`, what its exits mean, its registers,
/// CPUID and MSRs, and its whole state for a snapshot.
///
/// A {@link org.kaval.vcpu.Vcpu} knows no device. It hands what the guest asks for to an {@link
/// org.kaval.vcpu.ExitHandler}, on its own thread `vcpu-N`, which alone makes calls on the vCPU:
/// other threads ask it by {@link org.kaval.vcpu.Vcpu#call}.
///
/// Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.vcpu;

import org.jspecify.annotations.NullMarked;
