package org.kaval.vcpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.kaval.kvm.KvmDescriptorTable;
import org.kaval.kvm.KvmRegs;
import org.kaval.kvm.KvmSegment;
import org.kaval.kvm.KvmSregs;

/// Which registers an entry sets; Intel SDM vol. 3A §2.5 (control registers), §3.4.5 (segments).
class EntryStateTest {
    private static final KvmDescriptorTable GDT = new KvmDescriptorTable(0x500, 0x1f);

    private final KvmSregs sregs = new KvmSregs();
    private final KvmRegs regs = new KvmRegs();

    @Test
    void realModeHasSegmentsOf64KibibytesAtZero() {
        new EntryState.Real16(0x7c00, 0xfffe).apply(sregs, regs);

        assertEquals(0, sregs.cs().base());
        assertEquals(0, sregs.cs().selector());
        assertEquals(0xffff, sregs.cs().limit());
        assertTrue(isCode(sregs.cs()));
        assertFalse(sregs.cs().defaultSize());
        assertFalse(sregs.cs().longMode());
        assertFalse(sregs.cs().granularity());
        KvmSegment data = new KvmSegment(0, 0xffff, 0, 0x3, true, 0, false, true, false, false);
        assertEquals(List.of(data, data, data, data, data), dataSegments());
        assertEquals(0x7c00, regs.rip());
        assertEquals(0xfffe, regs.rsp());
    }

    @Test
    void realModeLeavesControlRegistersAsTheyWere() {
        sregs.cr0(0x6000_0010);
        sregs.cr4(0);

        new EntryState.Real16(0, 0).apply(sregs, regs);

        assertEquals(0x6000_0010, sregs.cr0());
        assertEquals(0, sregs.cr4());
        assertEquals(0, sregs.efer());
    }

    @Test
    void protectedModeHasFlat32BitSegmentsAndNoPaging() {
        new EntryState.Protected32(0x10_0000, 0x9_0000, GDT).apply(sregs, regs);

        assertEquals(
                new KvmSegment(0, -1, 0x10, 0xb, true, 0, true, true, false, true), sregs.cs());
        KvmSegment data = new KvmSegment(0, -1, 0x18, 0x3, true, 0, true, true, false, true);
        assertEquals(List.of(data, data, data, data, data), dataSegments());
        assertEquals(GDT, sregs.gdt());
        assertEquals(0x11, sregs.cr0()); // PE, ET
        assertEquals(0, sregs.cr4());
        assertEquals(0, sregs.efer());
        assertEquals(0x10_0000, regs.rip());
        assertEquals(0x9_0000, regs.rsp());
    }

    @Test
    void protectedModeAddressesAreUnsigned() {
        new EntryState.Protected32(0xffff_fff0, 0xffff_ff00, GDT).apply(sregs, regs);

        assertEquals(0xffff_fff0L, regs.rip());
        assertEquals(0xffff_ff00L, regs.rsp());
    }

    @Test
    void protectedModeHasTheTaskStateOfPvh() {
        new EntryState.Protected32(0, 0, GDT).apply(sregs, regs);

        assertEquals(
                new KvmSegment(0, 0x67, 0, 0xb, true, 0, false, false, false, false), sregs.tr());
    }

    @Test
    void protectedModePassesArguments() {
        var arguments = new EntryState.Arguments(0x2bad_b002, 0x6000, 0x7000);

        new EntryState.Protected32(0, 0, GDT, arguments).apply(sregs, regs);

        assertEquals(0x2bad_b002, regs.rax());
        assertEquals(0x6000, regs.rbx());
        assertEquals(0x7000, regs.rsi());
    }

    @Test
    void longModePassesArguments() {
        var arguments = new EntryState.Arguments(1, 2, 0xffff_8000_0000_7000L);

        new EntryState.Long64(0, 0, GDT, 0x9000, arguments).apply(sregs, regs);

        assertEquals(1, regs.rax());
        assertEquals(2, regs.rbx());
        assertEquals(0xffff_8000_0000_7000L, regs.rsi());
    }

    @Test
    void longModeHasPagingAnd64BitCode() {
        new EntryState.Long64(0xffff_ffff_8100_0000L, 0x8000, GDT, 0x9000).apply(sregs, regs);

        assertEquals(
                new KvmSegment(0, -1, 0x10, 0xb, true, 0, false, true, true, true), sregs.cs());
        assertEquals(GDT, sregs.gdt());
        assertEquals(0x9000, sregs.cr3());
        assertEquals(0x8000_0033L, sregs.cr0()); // PG, NE, ET, MP, PE
        assertEquals(0x620, sregs.cr4()); // OSXMMEXCPT, OSFXSR, PAE
        assertEquals(0x500, sregs.efer()); // LMA, LME
        assertEquals(0xffff_ffff_8100_0000L, regs.rip());
        assertEquals(0x8000, regs.rsp());
    }

    @Test
    void longModeDataSegmentsAreFlatWritableData() {
        new EntryState.Long64(0, 0, GDT, 0x9000).apply(sregs, regs);

        assertTrue(dataSegments().stream().allMatch(EntryStateTest::isFlatWritableData));
    }

    @Test
    void otherRegistersAreLeftAsTheyWere() {
        regs.rcx(1);
        regs.rdi(2);
        regs.rflags(2);
        sregs.idt(new KvmDescriptorTable(0x600, 0xfff));
        sregs.apicBase(0xfee0_0900L);

        new EntryState.Long64(0, 0, GDT, 0x9000).apply(sregs, regs);

        assertEquals(1, regs.rcx());
        assertEquals(2, regs.rdi());
        assertEquals(2, regs.rflags());
        assertEquals(new KvmDescriptorTable(0x600, 0xfff), sregs.idt());
        assertEquals(0xfee0_0900L, sregs.apicBase());
    }

    private List<KvmSegment> dataSegments() {
        return List.of(sregs.ds(), sregs.es(), sregs.fs(), sregs.gs(), sregs.ss());
    }

    private static boolean isCode(KvmSegment segment) {
        return segment.codeOrData() && segment.present() && (segment.type() & 0b1000) != 0;
    }

    private static boolean isFlatWritableData(KvmSegment segment) {
        return segment.codeOrData()
                && segment.present()
                && (segment.type() & 0b1010) == 0b0010
                && segment.base() == 0
                && segment.limit() == -1
                && segment.selector() == 0x18
                && segment.dpl() == 0;
    }
}
