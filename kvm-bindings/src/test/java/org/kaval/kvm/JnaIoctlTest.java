package org.kaval.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.jna.Library;
import com.sun.jna.Memory;
import com.sun.jna.Native;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kaval.testing.NeedsKvm;

/// The same calls through JNA and through this module: equal results. The request numbers are
/// written out from linux/kvm.h, so that no generated number is used on JNA's side.
///
/// Needs KVM, any kind.
@NeedsKvm
class JnaIoctlTest {
    private static final int O_RDWR = 2;

    // _IO(0xae, nr); with a size, _IOR is 2 << 30, _IOW 1 << 30, _IOWR 3 << 30, and | size << 16
    private static final long KVM_GET_API_VERSION = 0xae00;
    private static final long KVM_CHECK_EXTENSION = 0xae03;
    private static final long KVM_GET_VCPU_MMAP_SIZE = 0xae04;
    private static final long KVM_GET_SUPPORTED_CPUID = 3L << 30 | 8 << 16 | 0xae05;
    private static final long KVM_GET_REGS = 2L << 30 | 144 << 16 | 0xae81;
    private static final long KVM_SET_REGS = 1L << 30 | 144 << 16 | 0xae82;
    private static final long KVM_GET_SREGS2 = 2L << 30 | 320 << 16 | 0xaecc;
    private static final long KVM_SET_SREGS2 = 1L << 30 | 320 << 16 | 0xaecd;

    /// The C library as JNA binds it.
    public interface CLibrary extends Library {
        int open(String path, int flags);

        int close(int descriptor);

        int ioctl(int descriptor, long request, Object... argument);
    }

    private static final CLibrary C = Native.load("c", CLibrary.class);

    private int device = -1;

    @BeforeEach
    void open() {
        device = C.open(Kvm.DEVICE.toString(), O_RDWR);
        assertTrue(device >= 0, () -> "errno " + Native.getLastError());
    }

    @AfterEach
    void close() {
        C.close(device);
    }

    @Test
    void versionIsTheOneThatOpenAccepts() throws Exception {
        assertEquals(12, C.ioctl(device, KVM_GET_API_VERSION, 0));
        Kvm.open().close();
    }

    @ParameterizedTest
    @EnumSource
    void capabilityIsWorthTheSame(Capability capability) throws Exception {
        try (Kvm kvm = Kvm.open()) {
            assertEquals(
                    C.ioctl(device, KVM_CHECK_EXTENSION, capability.number()),
                    kvm.check(capability));
        }
    }

    @Test
    void supportedCpuidIsTheSame() throws Exception {
        int capacity = 256;
        try (var table = new Memory(8 + capacity * 40L);
                Kvm kvm = Kvm.open()) {
            table.clear();
            table.setInt(0, capacity);
            assertEquals(0, C.ioctl(device, KVM_GET_SUPPORTED_CPUID, table));
            List<CpuidEntry> leaves =
                    IntStream.range(0, table.getInt(0))
                            .mapToObj(i -> entry(table, 8 + i * 40L))
                            .toList();
            assertEquals(
                    leaves.stream().map(JnaIoctlTest::withoutApicId).toList(),
                    kvm.supportedCpuid().stream().map(JnaIoctlTest::withoutApicId).toList());
        }
    }

    @Test
    void runAreaIsMappedAtItsSize() throws Exception {
        int size = C.ioctl(device, KVM_GET_VCPU_MMAP_SIZE, 0);
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            vm.createVcpu(0);
            String range =
                    Files.readAllLines(Path.of("/proc/self/maps")).stream()
                            .filter(line -> line.contains("kvm-vcpu"))
                            .findFirst()
                            .orElseThrow()
                            .split(" ", 2)[0];
            String[] ends = range.split("-", 2);
            assertEquals(
                    size,
                    Long.parseUnsignedLong(ends[1], 16) - Long.parseUnsignedLong(ends[0], 16));
        }
    }

    @Test
    void registersWrittenByOneAreReadByTheOther() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            KvmVcpu vcpu = vm.createVcpu(0);
            int descriptor = descriptorOfVcpu();

            var ours = new KvmRegs();
            ours.rax(0x1111_2222_3333_4444L);
            ours.rsp(0x8000);
            ours.r8(-8);
            ours.rip(0x7c00);
            ours.rflags(2);
            vcpu.setRegs(ours);
            var theirs = new JnaStructures.kvm_regs();
            assertEquals(0, C.ioctl(descriptor, KVM_GET_REGS, theirs));
            theirs.read();
            assertEquals(0x1111_2222_3333_4444L, theirs.rax);
            assertEquals(0x8000, theirs.rsp);
            assertEquals(-8, theirs.r8);
            assertEquals(0x7c00, theirs.rip);
            assertEquals(2, theirs.rflags);

            theirs.rbx = 0xb;
            theirs.rdi = 0xd1;
            theirs.rsi = 0x51;
            theirs.r15 = 15;
            theirs.rip = 0xfff0;
            theirs.write();
            assertEquals(0, C.ioctl(descriptor, KVM_SET_REGS, theirs));
            vcpu.getRegs(ours);
            assertEquals(0x1111_2222_3333_4444L, ours.rax());
            assertEquals(0xb, ours.rbx());
            assertEquals(0xd1, ours.rdi());
            assertEquals(0x51, ours.rsi());
            assertEquals(15, ours.r15());
            assertEquals(0xfff0, ours.rip());
        }
    }

    @Test
    void segmentsWrittenByOneAreReadByTheOther() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            KvmVcpu vcpu = vm.createVcpu(0);
            int descriptor = descriptorOfVcpu();

            var ours = new KvmSregs();
            vcpu.getSregs(ours);
            // type 3: data, read and write, accessed; AMD-V counts in pages only what is above 1
            // MiB
            ours.gs(new KvmSegment(0x5000, 0xfffff, 0x28, 3, true, 0, true, true, false, false));
            ours.idt(new KvmDescriptorTable(0x6000, 0xfff));
            ours.cr2(0x1234);
            vcpu.setSregs(ours);
            var theirs = new JnaStructures.kvm_sregs2();
            assertEquals(0, C.ioctl(descriptor, KVM_GET_SREGS2, theirs));
            theirs.read();
            assertEquals(0x5000, theirs.gs.base);
            assertEquals(0xfffff, theirs.gs.limit);
            assertEquals(0x28, theirs.gs.selector);
            assertEquals(
                    List.of(3, 1, 0, 1, 1, 0, 0, 0),
                    Stream.of(
                                    theirs.gs.type,
                                    theirs.gs.present,
                                    theirs.gs.dpl,
                                    theirs.gs.db,
                                    theirs.gs.s,
                                    theirs.gs.l,
                                    theirs.gs.g,
                                    theirs.gs.unusable)
                            .map(Byte::intValue)
                            .toList());
            assertEquals(0x6000, theirs.idt.base);
            assertEquals(0xfff, theirs.idt.limit);
            assertEquals(0x1234, theirs.cr2);
            assertEquals(ours.cr0(), theirs.cr0);
            assertEquals(ours.efer(), theirs.efer);
            assertEquals(ours.apicBase(), theirs.apic_base);

            theirs.fs.base = 0x9000;
            theirs.gdt.base = 0xa000;
            theirs.gdt.limit = (short) 0xffff;
            theirs.write();
            assertEquals(0, C.ioctl(descriptor, KVM_SET_SREGS2, theirs));
            vcpu.getSregs(ours);
            assertEquals(0x9000, ours.fs().base());
            assertEquals(new KvmDescriptorTable(0xa000, 0xffff), ours.gdt());
        }
    }

    /// The number that this module keeps to itself.
    private static int descriptorOfVcpu() throws Exception {
        try (Stream<Path> entries = Files.list(Path.of("/proc/self/fd"))) {
            return entries.filter(JnaIoctlTest::isVcpu)
                    .mapToInt(entry -> Integer.parseInt(entry.getFileName().toString()))
                    .findFirst()
                    .orElseThrow();
        }
    }

    private static boolean isVcpu(Path entry) {
        try {
            return Files.readSymbolicLink(entry).toString().startsWith("anon_inode:kvm-vcpu");
        } catch (IOException e) {
            return false; // closed since it was listed
        }
    }

    private static CpuidEntry entry(Memory table, long offset) {
        return new CpuidEntry(
                table.getInt(offset),
                table.getInt(offset + 4),
                table.getInt(offset + 8),
                table.getInt(offset + 12),
                table.getInt(offset + 16),
                table.getInt(offset + 20),
                table.getInt(offset + 24));
    }

    /// KVM shows the APIC id of the host CPU that it runs on just then.
    private static CpuidEntry withoutApicId(CpuidEntry leaf) {
        return switch (leaf.function()) {
            case 1 ->
                    new CpuidEntry(
                            1,
                            leaf.index(),
                            leaf.flags(),
                            leaf.eax(),
                            leaf.ebx() & 0x00ff_ffff,
                            leaf.ecx(),
                            leaf.edx());
            case 0xb, 0x1f ->
                    new CpuidEntry(
                            leaf.function(),
                            leaf.index(),
                            leaf.flags(),
                            leaf.eax(),
                            leaf.ebx(),
                            leaf.ecx(),
                            0);
            default -> leaf;
        };
    }
}
