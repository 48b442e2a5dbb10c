package org.kaval.kvm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.kaval.kvm.abi.kvm_dtable;
import org.kaval.kvm.abi.kvm_sregs2;

/// A vCPU's segment, control and descriptor-table registers (`struct kvm_sregs2`).
///
/// Filled by {@link KvmVcpu#getSregs} and read by {@link KvmVcpu#setSregs}. One thread at a time.
public final class KvmSregs {
    final MemorySegment segment = Arena.ofAuto().allocate(kvm_sregs2.layout());

    /// All zero.
    public KvmSregs() {}

    public KvmSegment cs() {
        return KvmSegment.read(kvm_sregs2.cs(segment));
    }

    public void cs(KvmSegment value) {
        value.write(kvm_sregs2.cs(segment));
    }

    public KvmSegment ds() {
        return KvmSegment.read(kvm_sregs2.ds(segment));
    }

    public void ds(KvmSegment value) {
        value.write(kvm_sregs2.ds(segment));
    }

    public KvmSegment es() {
        return KvmSegment.read(kvm_sregs2.es(segment));
    }

    public void es(KvmSegment value) {
        value.write(kvm_sregs2.es(segment));
    }

    public KvmSegment fs() {
        return KvmSegment.read(kvm_sregs2.fs(segment));
    }

    public void fs(KvmSegment value) {
        value.write(kvm_sregs2.fs(segment));
    }

    public KvmSegment gs() {
        return KvmSegment.read(kvm_sregs2.gs(segment));
    }

    public void gs(KvmSegment value) {
        value.write(kvm_sregs2.gs(segment));
    }

    public KvmSegment ss() {
        return KvmSegment.read(kvm_sregs2.ss(segment));
    }

    public void ss(KvmSegment value) {
        value.write(kvm_sregs2.ss(segment));
    }

    public KvmSegment tr() {
        return KvmSegment.read(kvm_sregs2.tr(segment));
    }

    public void tr(KvmSegment value) {
        value.write(kvm_sregs2.tr(segment));
    }

    public KvmSegment ldt() {
        return KvmSegment.read(kvm_sregs2.ldt(segment));
    }

    public void ldt(KvmSegment value) {
        value.write(kvm_sregs2.ldt(segment));
    }

    public KvmDescriptorTable gdt() {
        return readTable(kvm_sregs2.gdt(segment));
    }

    public void gdt(KvmDescriptorTable value) {
        writeTable(kvm_sregs2.gdt(segment), value);
    }

    public KvmDescriptorTable idt() {
        return readTable(kvm_sregs2.idt(segment));
    }

    public void idt(KvmDescriptorTable value) {
        writeTable(kvm_sregs2.idt(segment), value);
    }

    public long cr0() {
        return kvm_sregs2.cr0(segment);
    }

    public void cr0(long value) {
        kvm_sregs2.cr0(segment, value);
    }

    public long cr2() {
        return kvm_sregs2.cr2(segment);
    }

    public void cr2(long value) {
        kvm_sregs2.cr2(segment, value);
    }

    public long cr3() {
        return kvm_sregs2.cr3(segment);
    }

    public void cr3(long value) {
        kvm_sregs2.cr3(segment, value);
    }

    public long cr4() {
        return kvm_sregs2.cr4(segment);
    }

    public void cr4(long value) {
        kvm_sregs2.cr4(segment, value);
    }

    public long efer() {
        return kvm_sregs2.efer(segment);
    }

    public void efer(long value) {
        kvm_sregs2.efer(segment, value);
    }

    public long apicBase() {
        return kvm_sregs2.apic_base(segment);
    }

    public void apicBase(long value) {
        kvm_sregs2.apic_base(segment, value);
    }

    /// The registers that decide the mode, and the code segment, as a crash report shows them.
    @Override
    public String toString() {
        return """
        CR0=%016x CR2=%016x CR3=%016x CR4=%016x EFER=%016x
        CS=%s GDT=%s IDT=%s\
        """
                .formatted(cr0(), cr2(), cr3(), cr4(), efer(), cs(), gdt(), idt());
    }

    private static KvmDescriptorTable readTable(MemorySegment table) {
        return new KvmDescriptorTable(
                kvm_dtable.base(table), Short.toUnsignedInt(kvm_dtable.limit(table)));
    }

    private static void writeTable(MemorySegment table, KvmDescriptorTable value) {
        kvm_dtable.base(table, value.base());
        kvm_dtable.limit(table, (short) value.limit());
    }
}
