package org.kaval.kvm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.kaval.kvm.abi.kvm_regs;

/// A vCPU's general registers, instruction pointer and flags (`struct kvm_regs`).
///
/// Filled by {@link KvmVcpu#getRegs} and read by {@link KvmVcpu#setRegs}. One thread at a time.
public final class KvmRegs {
    final MemorySegment segment = Arena.ofAuto().allocate(kvm_regs.layout());

    /// All zero.
    public KvmRegs() {}

    public long rax() {
        return kvm_regs.rax(segment);
    }

    public void rax(long value) {
        kvm_regs.rax(segment, value);
    }

    public long rbx() {
        return kvm_regs.rbx(segment);
    }

    public void rbx(long value) {
        kvm_regs.rbx(segment, value);
    }

    public long rcx() {
        return kvm_regs.rcx(segment);
    }

    public void rcx(long value) {
        kvm_regs.rcx(segment, value);
    }

    public long rdx() {
        return kvm_regs.rdx(segment);
    }

    public void rdx(long value) {
        kvm_regs.rdx(segment, value);
    }

    public long rsi() {
        return kvm_regs.rsi(segment);
    }

    public void rsi(long value) {
        kvm_regs.rsi(segment, value);
    }

    public long rdi() {
        return kvm_regs.rdi(segment);
    }

    public void rdi(long value) {
        kvm_regs.rdi(segment, value);
    }

    public long rsp() {
        return kvm_regs.rsp(segment);
    }

    public void rsp(long value) {
        kvm_regs.rsp(segment, value);
    }

    public long rbp() {
        return kvm_regs.rbp(segment);
    }

    public void rbp(long value) {
        kvm_regs.rbp(segment, value);
    }

    public long r8() {
        return kvm_regs.r8(segment);
    }

    public void r8(long value) {
        kvm_regs.r8(segment, value);
    }

    public long r9() {
        return kvm_regs.r9(segment);
    }

    public void r9(long value) {
        kvm_regs.r9(segment, value);
    }

    public long r10() {
        return kvm_regs.r10(segment);
    }

    public void r10(long value) {
        kvm_regs.r10(segment, value);
    }

    public long r11() {
        return kvm_regs.r11(segment);
    }

    public void r11(long value) {
        kvm_regs.r11(segment, value);
    }

    public long r12() {
        return kvm_regs.r12(segment);
    }

    public void r12(long value) {
        kvm_regs.r12(segment, value);
    }

    public long r13() {
        return kvm_regs.r13(segment);
    }

    public void r13(long value) {
        kvm_regs.r13(segment, value);
    }

    public long r14() {
        return kvm_regs.r14(segment);
    }

    public void r14(long value) {
        kvm_regs.r14(segment, value);
    }

    public long r15() {
        return kvm_regs.r15(segment);
    }

    public void r15(long value) {
        kvm_regs.r15(segment, value);
    }

    public long rip() {
        return kvm_regs.rip(segment);
    }

    public void rip(long value) {
        kvm_regs.rip(segment, value);
    }

    public long rflags() {
        return kvm_regs.rflags(segment);
    }

    public void rflags(long value) {
        kvm_regs.rflags(segment, value);
    }

    /// All registers in five lines, as a crash report shows them.
    @Override
    public String toString() {
        return """
        RIP=%016x RFLAGS=%016x
        RAX=%016x RBX=%016x RCX=%016x RDX=%016x
        RSI=%016x RDI=%016x RSP=%016x RBP=%016x
        R8 =%016x R9 =%016x R10=%016x R11=%016x
        R12=%016x R13=%016x R14=%016x R15=%016x\
        """
                .formatted(
                        rip(), rflags(), rax(), rbx(), rcx(), rdx(), rsi(), rdi(), rsp(), rbp(),
                        r8(), r9(), r10(), r11(), r12(), r13(), r14(), r15());
    }
}
