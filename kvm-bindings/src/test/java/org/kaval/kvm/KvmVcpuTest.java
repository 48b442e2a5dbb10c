package org.kaval.kvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kaval.linux.ErrnoException;
import org.kaval.testing.NeedsKvm;

/// The registers and other state of one vCPU that does not run. Needs KVM, any kind.
@NeedsKvm
class KvmVcpuTest {
    // Intel SDM vol. 4
    private static final int IA32_SYSENTER_CS = 0x174;
    private static final int IA32_SYSENTER_ESP = 0x175;
    private static final int IA32_PAT = 0x277;

    /// No processor has it.
    private static final int BOGUS_MSR = 0x1234_5678;

    private @Nullable KvmVm vm;
    private @Nullable KvmVcpu created;
    private List<CpuidEntry> supported = List.of();
    private List<Integer> msrs = List.of();

    @BeforeEach
    void open() throws Exception {
        try (Kvm kvm = Kvm.open()) {
            supported = kvm.supportedCpuid();
            msrs = kvm.msrIndexList();
            vm = kvm.createVm();
            vm.createIrqchip();
            created = vm.createVcpu(0);
        }
    }

    @AfterEach
    void close() {
        if (vm != null) {
            vm.close();
        }
    }

    private KvmVcpu vcpu() {
        return Objects.requireNonNull(created);
    }

    @Test
    void generalRegistersComeBack() throws Exception {
        var written = new KvmRegs();
        written.rax(0x0123_4567_89ab_cdefL);
        written.r15(-2);
        written.rip(0x7c00);
        written.rflags(2);
        vcpu().setRegs(written);
        var read = new KvmRegs();
        vcpu().getRegs(read);
        assertEquals(written.toString(), read.toString());
    }

    @Test
    void resetStateIsTheProcessors() throws Exception {
        var sregs = new KvmSregs();
        vcpu().getSregs(sregs);
        assertEquals(0xffff_0000L, sregs.cs().base()); // Intel SDM vol. 3A, table 9-1
        assertEquals(0xf000, sregs.cs().selector());
        assertEquals(new KvmDescriptorTable(0, 0xffff), sregs.idt());
        assertEquals(0x6000_0010L, sregs.cr0());
        var regs = new KvmRegs();
        vcpu().getRegs(regs);
        assertEquals(0xfff0, regs.rip());
        assertEquals(2, regs.rflags());
    }

    @Test
    void segmentRegistersComeBack() throws Exception {
        var written = new KvmSregs();
        vcpu().getSregs(written);
        // type 3: data, read and write, accessed; AMD-V counts in pages only what is above 1 MiB
        var data = new KvmSegment(0x1230, 0xfffff, 0x123, 3, true, 3, true, true, false, false);
        written.fs(data);
        written.gdt(new KvmDescriptorTable(0x9000, 0x3f));
        written.cr2(0xdead_beefL);
        vcpu().setSregs(written);
        var read = new KvmSregs();
        vcpu().getSregs(read);
        assertEquals(data, read.fs());
        assertEquals(new KvmDescriptorTable(0x9000, 0x3f), read.gdt());
        assertEquals(0xdead_beefL, read.cr2());
        assertEquals(written.toString(), read.toString());
    }

    @ParameterizedTest
    @EnumSource
    void stateComesBackAsItWasWritten(KvmVcpuState part) throws Exception {
        byte[] before = vcpu().getState(part);
        vcpu().setState(part, before);
        assertArrayEquals(before, vcpu().getState(part));
    }

    @Test
    void changedStateComesBackChanged() throws Exception {
        byte[] regs = vcpu().getState(KvmVcpuState.REGS);
        regs[0] = 0x42; // the lowest byte of RAX
        vcpu().setState(KvmVcpuState.REGS, regs);
        assertArrayEquals(regs, vcpu().getState(KvmVcpuState.REGS));
        var read = new KvmRegs();
        vcpu().getRegs(read);
        assertEquals(0x42, read.rax() & 0xff);
    }

    @Test
    void stateOfAnotherSizeIsRefused() {
        var refused =
                assertThrows(
                        IllegalArgumentException.class,
                        () -> vcpu().setState(KvmVcpuState.REGS, new byte[143]));
        assertEquals("REGS is 144 bytes, not 143", refused.getMessage());
    }

    // --- XSAVE ---

    @Test
    void extendedStateComesBackAtItsFullSize() throws Exception {
        int size = Objects.requireNonNull(vm).check(Capability.XSAVE2);
        vcpu().setCpuid(supported);
        byte[] state = vcpu().getXsave(size);
        assertEquals(Math.max(size, 4096), state.length);
        state[160] ^= 0x5a; // XMM0 (Intel SDM vol. 1 §13.4.1)
        state[512] |= 3; // XSTATE_BV: x87 and SSE state are there (§13.4.2)
        vcpu().setXsave(size, state);
        assertArrayEquals(state, vcpu().getXsave(size));
    }

    @Test
    void extendedStateOfOldKernelsIsOnePage() throws Exception {
        byte[] state = vcpu().getXsave(0);
        assertEquals(4096, state.length);
        vcpu().setXsave(0, state);
        assertArrayEquals(state, vcpu().getXsave(0));
    }

    @Test
    void extendedStateOfAnotherSizeIsRefused() {
        var refused =
                assertThrows(IllegalArgumentException.class, () -> vcpu().setXsave(0, new byte[1]));
        assertEquals("XSAVE is 4096 bytes, not 1", refused.getMessage());
    }

    // --- MSRs ---

    @Test
    void msrsComeBack() throws Exception {
        var written =
                List.of(
                        new KvmMsr(IA32_SYSENTER_CS, 0x10),
                        new KvmMsr(IA32_SYSENTER_ESP, 0x5678_9abcL) /* AMD-V keeps 32 bits */,
                        new KvmMsr(IA32_PAT, 0x0007_0406_0007_0406L));
        assertEquals(List.of(), vcpu().setMsrs(written));
        assertEquals(
                written, vcpu().getMsrs(List.of(IA32_SYSENTER_CS, IA32_SYSENTER_ESP, IA32_PAT)));
    }

    @Test
    void unknownMsrIsLeftOutAndTheOthersAreRead() throws Exception {
        requireRefusalOfUnknownMsrs();
        List<KvmMsr> read =
                vcpu().getMsrs(
                                List.of(
                                        BOGUS_MSR,
                                        IA32_SYSENTER_CS,
                                        BOGUS_MSR,
                                        BOGUS_MSR,
                                        IA32_PAT,
                                        BOGUS_MSR));
        assertEquals(
                List.of(IA32_SYSENTER_CS, IA32_PAT), read.stream().map(KvmMsr::index).toList());
    }

    @Test
    void refusedMsrIsReturnedAndTheOthersAreWritten() throws Exception {
        requireRefusalOfUnknownMsrs();
        var bogus = new KvmMsr(BOGUS_MSR, 1);
        var nextBogus = new KvmMsr(BOGUS_MSR + 1, 2);
        var cs = new KvmMsr(IA32_SYSENTER_CS, 0x20);
        var esp = new KvmMsr(IA32_SYSENTER_ESP, 0x3000);
        assertEquals(List.of(bogus, nextBogus), vcpu().setMsrs(List.of(bogus, cs, nextBogus, esp)));
        assertEquals(
                List.of(cs, esp), vcpu().getMsrs(List.of(IA32_SYSENTER_CS, IA32_SYSENTER_ESP)));
    }

    @Test
    void allListedMsrsCanBeReadAndWrittenBack() throws Exception {
        vcpu().setCpuid(supported);
        List<KvmMsr> read = vcpu().getMsrs(msrs);
        assertTrue(read.size() > 20);
        assertEquals(List.of(), vcpu().setMsrs(read));
    }

    @Test
    void noMsrsAreNoCall() throws Exception {
        assertEquals(List.of(), vcpu().getMsrs(List.of()));
        assertEquals(List.of(), vcpu().setMsrs(List.of()));
    }

    // --- CPUID ---

    @Test
    void cpuidComesBack() throws Exception {
        vcpu().setCpuid(supported);
        assertEquals(
                supported.stream().map(KvmVcpuTest::leaf).toList(),
                vcpu().getCpuid().stream().map(KvmVcpuTest::leaf).toList());
    }

    @Test
    void cpuidIsWhatWasSet() throws Exception {
        // the vendor, and a third of the processor's name: text that KVM has no interest in
        var vendor = CpuidEntry.of(0, 1, 0x4b61_7661, 0x6c20_564d, 0x4d20_2020);
        var name = CpuidEntry.of(0x8000_0002, 1, 2, 3, 4);
        vcpu().setCpuid(List.of(vendor, name));
        assertEquals(List.of(vendor, name), vcpu().getCpuid());
    }

    @Test
    void subleavesAreToldApart() throws Exception {
        var first = CpuidEntry.of(4, 0, 0x121, 1, 2, 3);
        var second = CpuidEntry.of(4, 1, 0x122, 4, 5, 6);
        vcpu().setCpuid(List.of(first, second));
        assertEquals(List.of(first, second), vcpu().getCpuid());
    }

    @Test
    void tooManyLeavesAreRefusedWithoutACall() {
        var tooMany = Collections.nCopies(257, CpuidEntry.of(0, 0, 0, 0, 0));
        var refused = assertThrows(ErrnoException.class, () -> vcpu().setCpuid(tooMany));
        assertEquals("KVM_SET_CPUID2 on vcpu 0: E2BIG", refused.getMessage());
    }

    // --- time ---

    @Test
    void timeStampCounterHasAFrequency() throws Exception {
        assertNotEquals(0, vcpu().tscKilohertz());
    }

    /// Which leaf it is, without values: some of these depend on the state of the vCPU.
    private static List<Integer> leaf(CpuidEntry entry) {
        return List.of(entry.function(), entry.index(), entry.flags());
    }

    /// With the module's parameter `ignore_msrs` KVM accepts every MSR.
    private static void requireRefusalOfUnknownMsrs() throws Exception {
        String parameter = Files.readString(Path.of("/sys/module/kvm/parameters/ignore_msrs"));
        assertEquals(
                "N", parameter.strip(), "echo N | sudo tee /sys/module/kvm/parameters/ignore_msrs");
    }
}
