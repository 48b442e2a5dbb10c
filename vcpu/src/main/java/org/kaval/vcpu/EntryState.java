package org.kaval.vcpu;

import org.kaval.kvm.KvmDescriptorTable;
import org.kaval.kvm.KvmRegs;
import org.kaval.kvm.KvmSegment;
import org.kaval.kvm.KvmSregs;
import org.kaval.kvm.KvmVcpu;
import org.kaval.linux.ErrnoException;

/// The registers with which a vCPU begins: one of the three modes that boot protocols enter.
///
/// The general registers are 0 except those that are named, interrupts are off, and the segments'
/// hidden parts are set, so that code runs before it has loaded a table of its own. Everything else
/// is as after a reset. Selectors are those of Linux's 64-bit boot protocol
/// (`Documentation/arch/x86/boot.rst`): code 0x10, data 0x18.
public sealed interface EntryState {
    /// The selector of flat code of the mode's width.
    int CODE_SELECTOR = 0x10;

    /// The selector of flat data.
    int DATA_SELECTOR = 0x18;

    /// What a boot protocol passes in registers.
    ///
    /// @param rax the low half of it in 32-bit mode, as with the others
    record Arguments(long rax, long rbx, long rsi) {
        /// Nothing.
        public static final Arguments NONE = new Arguments(0, 0, 0);

        private void writeTo(KvmRegs regs) {
            regs.rax(rax);
            regs.rbx(rbx);
            regs.rsi(rsi);
        }
    }

    /// 16-bit real mode, all segments at 0.
    ///
    /// @param ip 0 to 0xffff
    /// @param sp 0 to 0xffff
    record Real16(int ip, int sp) implements EntryState {
        @Override
        public void apply(KvmSregs sregs, KvmRegs regs) {
            KvmSegment code = new KvmSegment(0, 0xffff, 0, 0xb, true, 0, false, true, false, false);
            KvmSegment data = new KvmSegment(0, 0xffff, 0, 0x3, true, 0, false, true, false, false);
            setSegments(sregs, code, data);
            regs.rip(ip);
            regs.rsp(sp);
        }
    }

    /// 32-bit protected mode without paging, flat segments, and the task state that PVH asks for
    /// (Xen, `docs/misc/pvh.pandoc`).
    ///
    /// @param gdt a table in guest memory with the two selectors
    record Protected32(int eip, int esp, KvmDescriptorTable gdt, Arguments arguments)
            implements EntryState {
        /// Without arguments.
        public Protected32(int eip, int esp, KvmDescriptorTable gdt) {
            this(eip, esp, gdt, Arguments.NONE);
        }

        @Override
        public void apply(KvmSregs sregs, KvmRegs regs) {
            setSegments(sregs, flat(CODE_SELECTOR, 0xb, false), flat(DATA_SELECTOR, 0x3, false));
            sregs.tr(TASK_STATE);
            sregs.gdt(gdt);
            sregs.cr0(CR0_PE | CR0_ET);
            regs.rip(Integer.toUnsignedLong(eip));
            regs.rsp(Integer.toUnsignedLong(esp));
            arguments.writeTo(regs);
        }
    }

    /// 64-bit mode with paging.
    ///
    /// @param gdt a table in guest memory with the two selectors
    /// @param pageTable guest-physical address of the PML4
    record Long64(long rip, long rsp, KvmDescriptorTable gdt, long pageTable, Arguments arguments)
            implements EntryState {
        /// Without arguments.
        public Long64(long rip, long rsp, KvmDescriptorTable gdt, long pageTable) {
            this(rip, rsp, gdt, pageTable, Arguments.NONE);
        }

        @Override
        public void apply(KvmSregs sregs, KvmRegs regs) {
            setSegments(sregs, flat(CODE_SELECTOR, 0xb, true), flat(DATA_SELECTOR, 0x3, false));
            sregs.gdt(gdt);
            sregs.cr3(pageTable);
            sregs.cr4(CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT);
            sregs.cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG);
            sregs.efer(EFER_LME | EFER_LMA);
            regs.rip(rip);
            regs.rsp(rsp);
            arguments.writeTo(regs);
        }
    }

    // Intel SDM vol. 3A §2.5, §2.2.1
    long CR0_PE = 1;
    long CR0_MP = 1 << 1;
    long CR0_ET = 1 << 4;
    long CR0_NE = 1 << 5;
    long CR0_PG = 1L << 31;
    long CR4_PAE = 1 << 5;
    long CR4_OSFXSR = 1 << 9;
    long CR4_OSXMMEXCPT = 1 << 10;
    long EFER_LME = 1 << 8;
    long EFER_LMA = 1 << 10;

    /// A busy 32-bit TSS of the smallest size (Intel SDM vol. 3A §8.2.1).
    KvmSegment TASK_STATE = new KvmSegment(0, 0x67, 0, 0xb, true, 0, false, false, false, false);

    /// Changes what differs from a reset.
    void apply(KvmSregs sregs, KvmRegs regs);

    /// Sets the registers of a vCPU; on its thread, before it has run.
    default void writeTo(KvmVcpu vcpu) throws ErrnoException {
        var sregs = new KvmSregs();
        vcpu.getSregs(sregs);
        var regs = new KvmRegs();
        regs.rflags(2); // bit 1 is always set
        apply(sregs, regs);
        vcpu.setSregs(sregs);
        vcpu.setRegs(regs);
    }

    private static void setSegments(KvmSregs sregs, KvmSegment code, KvmSegment data) {
        sregs.cs(code);
        sregs.ds(data);
        sregs.es(data);
        sregs.fs(data);
        sregs.gs(data);
        sregs.ss(data);
    }

    private static KvmSegment flat(int selector, int type, boolean longMode) {
        return new KvmSegment(
                0, 0xffff_ffff, selector, type, true, 0, !longMode, true, longMode, true);
    }
}
