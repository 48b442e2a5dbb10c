package org.kaval.vcpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kaval.kvm.CpuidEntry;
import org.kaval.kvm.Kvm;
import org.kaval.kvm.KvmExit;
import org.kaval.kvm.KvmRegs;
import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVm;
import org.kaval.linux.Mmap;
import org.kaval.testing.NeedsKvm;

/// That the kernel takes the tables, and a guest sees them. Needs any KVM.
@NeedsKvm
@Timeout(60)
class CpuidOfAGuestTest {
    private static final Topology TOPOLOGY = new Topology(2, 3, 2);
    private static final int LAST = 11;
    private static final int LAST_APIC_ID = 0b1_10_1;

    private final Kvm kvm;
    private final KvmVm vm;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;

    CpuidOfAGuestTest() throws IOException {
        kvm = Kvm.open();
        vm = kvm.createVm();
        memory = Mmap.anonymous(arena, 0x4000);
        vm.setUserMemoryRegion(0, 0, 0, memory);
    }

    @AfterEach
    void close() {
        vm.close();
        arena.close();
        kvm.close();
    }

    @Test
    void kernelKeepsTheLeavesOfTopologyAndTime() throws IOException {
        List<CpuidEntry> table = table(LAST);
        KvmVcpu vcpu = vm.createVcpu(LAST_APIC_ID);

        vcpu.setCpuid(table);

        List<CpuidEntry> kept = vcpu.getCpuid();
        assertEquals(leaves(table, 0x4), leaves(kept, 0x4));
        assertEquals(leaves(table, 0xb), leaves(kept, 0xb));
        assertEquals(leaves(table, 0x4000_0010), leaves(kept, 0x4000_0010));
        assertEquals(leaves(table, 0x8000_0008), leaves(kept, 0x8000_0008));
    }

    @Test
    void guestReadsItsPlaceInTheTopology() throws IOException {
        KvmVcpu vcpu = vm.createVcpu(0);
        vcpu.setCpuid(table(LAST));

        KvmRegs regs =
                runInRealMode(
                        vcpu,
                        "66 b8 0b 00 00 00", // mov eax, 0xb
                        "66 b9 01 00 00 00", // mov ecx, 1
                        "0f a2", //             cpuid
                        "f4"); //               hlt

        assertEquals(3, regs.rax());
        assertEquals(6, regs.rbx());
        assertEquals(0x201, regs.rcx());
        assertEquals(LAST_APIC_ID, regs.rdx());
    }

    @Test
    void guestReadsTheFrequencyOfItsClock() throws IOException {
        KvmVcpu vcpu = vm.createVcpu(0);
        vcpu.setCpuid(table(0));

        KvmRegs regs =
                runInRealMode(
                        vcpu,
                        "66 b8 10 00 00 40", // mov eax, 0x40000010
                        "0f a2", //             cpuid
                        "f4"); //               hlt

        assertEquals(2_500_000, regs.rax());
        assertEquals(1_000_000, regs.rbx());
    }

    private List<CpuidEntry> table(int index) throws IOException {
        return new CpuidModel(kvm.supportedCpuid(), TOPOLOGY, false, 2_500_000).forVcpu(index);
    }

    private static List<CpuidEntry> leaves(List<CpuidEntry> table, int function) {
        return table.stream().filter(entry -> entry.function() == function).toList();
    }

    private KvmRegs runInRealMode(KvmVcpu vcpu, String... hexCode) throws IOException {
        byte[] code = HexFormat.of().parseHex(String.join("", hexCode).replace(" ", ""));
        MemorySegment.copy(code, 0, memory, ValueLayout.JAVA_BYTE, TinyGuest.CODE, code.length);
        TinyGuest.REAL16.writeTo(vcpu);
        assertEquals("HLT", KvmExit.name(vcpu.run()));
        var regs = new KvmRegs();
        vcpu.getRegs(regs);
        return regs;
    }
}
