package org.kaval.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.kaval.kvm.Kvm;
import org.kaval.kvm.KvmExit;
import org.kaval.kvm.KvmRegs;
import org.kaval.kvm.KvmSegment;
import org.kaval.kvm.KvmSregs;
import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVm;
import org.kaval.testing.NeedsKvm;

/// Pages that a guest writes come from KVM's log, those that a device writes from the memory's own.
/// Needs any KVM.
@NeedsKvm
class DirtyTrackingTest {
    private static final int CODE = 0x1000;
    private static final long HIGH = 1L << 32;

    /// Real mode; each `hlt` is an exit, as there is no in-kernel irqchip.
    private static final byte[] GUEST = {
        (byte) 0xc6,
        0x06,
        0x00,
        0x50,
        0x2a, // mov byte [0x5000], 0x2a
        (byte) 0xf4, //                         hlt
        (byte) 0xc6,
        0x06,
        0x00,
        0x60,
        0x2b, // mov byte [0x6000], 0x2b
        (byte) 0xf4, //                         hlt
    };

    private final Kvm kvm;
    private final KvmVm vm;
    private final GuestMemory memory;

    DirtyTrackingTest() throws IOException {
        kvm = Kvm.open();
        vm = kvm.createVm();
        memory =
                GuestMemory.allocate(
                        // the size of neither is a multiple of 64 pages
                        List.of(new GuestRange(0, 0x20000), new GuestRange(HIGH, 100 * 4096)),
                        new Backing.Anonymous(false));
        memory.write(CODE, GUEST);
    }

    @AfterEach
    void close() {
        vm.close();
        memory.close();
        kvm.close();
    }

    @Test
    void deviceWritesAreSeen() throws IOException {
        memory.attach(vm);
        memory.startDirtyTracking();

        memory.writeByte(0x2000, 1);
        memory.writeLe16(0x3fff, 1); // two pages
        memory.writeLe32(0x6000, 1);
        memory.writeLe64(0x8000, 1);
        memory.releaseLe16(0xa000, 1);
        memory.write(0xbfff, new byte[0x1002]); // three pages
        memory.write(0x10000, new byte[0]);
        memory.slice(0x12000, 8).fill((byte) 1);
        memory.markDirty(0x14000, 1);
        memory.markDirty(HIGH + 99 * 4096, 4096);

        assertEquals(
                List.of(
                        0x2000L,
                        0x3000L,
                        0x4000L,
                        0x6000L,
                        0x8000L,
                        0xa000L,
                        0xb000L,
                        0xc000L,
                        0xd000L,
                        0x14000L,
                        HIGH + 99 * 4096),
                pages(memory.drainDirtyPages()));
    }

    @Test
    void whoCannotSayWhatItWritesHearsOfTheTracking() throws IOException {
        memory.attach(vm);
        var told = new ArrayList<Boolean>();
        memory.addUnseenWriter(told::add);

        memory.startDirtyTracking();
        memory.addUnseenWriter(told::add);
        memory.stopDirtyTracking();

        assertEquals(List.of(true, true, false, false), told);
    }

    @Test
    void readsLeavePagesClean() throws IOException {
        memory.attach(vm);
        memory.startDirtyTracking();

        memory.readLe64(0x2000);
        memory.acquireLe16(0x3000);
        memory.read(0x4000, new byte[16]);

        assertEquals(0, memory.drainDirtyPages().count());
    }

    @Test
    void guestWritesAreSeenOnce() throws IOException {
        memory.attach(vm);
        KvmVcpu vcpu = createVcpu();
        memory.startDirtyTracking();

        runToHalt(vcpu);
        List<Long> first = pages(memory.drainDirtyPages());
        runToHalt(vcpu);
        List<Long> second = pages(memory.drainDirtyPages());

        assertEquals(0x2a, memory.readByte(0x5000));
        assertEquals(List.of(0x5000L), first);
        assertEquals(List.of(0x6000L), second);
        assertEquals(0, memory.drainDirtyPages().count());
    }

    @Test
    void writesOfGuestAndDeviceAreSeenTogether() throws IOException {
        memory.attach(vm);
        KvmVcpu vcpu = createVcpu();
        memory.startDirtyTracking();

        memory.writeByte(0x5001, 1);
        memory.writeByte(0x7000, 1);
        runToHalt(vcpu);

        assertEquals(List.of(0x5000L, 0x7000L), pages(memory.drainDirtyPages()));
    }

    @Test
    void whatIsWrittenBeforeTheTrackingIsNotSeen() throws IOException {
        memory.attach(vm);
        KvmVcpu vcpu = createVcpu();
        memory.writeByte(0x7000, 1);
        runToHalt(vcpu);

        memory.startDirtyTracking();

        assertEquals(0, memory.drainDirtyPages().count());
    }

    @Test
    void trackingMayBeStoppedAndStartedAgain() throws IOException {
        memory.attach(vm);
        KvmVcpu vcpu = createVcpu();
        memory.startDirtyTracking();
        memory.writeByte(0x7000, 1);
        runToHalt(vcpu);

        memory.stopDirtyTracking();
        memory.writeByte(0x8000, 1);
        memory.startDirtyTracking();
        memory.writeByte(0x9000, 1);
        runToHalt(vcpu);

        assertEquals(List.of(0x6000L, 0x9000L), pages(memory.drainDirtyPages()));
    }

    @Test
    void drainWithoutTrackingIsABug() throws IOException {
        memory.attach(vm);

        assertThrows(IllegalStateException.class, memory::drainDirtyPages);
    }

    @Test
    void drainAfterTheTrackingIsABug() throws IOException {
        memory.attach(vm);
        memory.startDirtyTracking();
        memory.stopDirtyTracking();

        assertThrows(IllegalStateException.class, memory::drainDirtyPages);
    }

    @Test
    void memoryHasOneMachine() throws IOException {
        memory.attach(vm);

        assertThrows(IllegalStateException.class, () -> memory.attach(vm));
    }

    private KvmVcpu createVcpu() throws IOException {
        KvmVcpu vcpu = vm.createVcpu(0);
        var sregs = new KvmSregs();
        vcpu.getSregs(sregs);
        sregs.cs(new KvmSegment(0, 0xffff, 0, 0xb, true, 0, false, true, false, false));
        vcpu.setSregs(sregs);
        var regs = new KvmRegs();
        regs.rip(CODE);
        regs.rflags(2);
        vcpu.setRegs(regs);
        return vcpu;
    }

    private static void runToHalt(KvmVcpu vcpu) throws IOException {
        int reason = vcpu.run();
        assertEquals("HLT", KvmExit.name(reason));
    }

    private static List<Long> pages(DirtyPages pages) {
        var addresses = new ArrayList<Long>();
        pages.forEach(addresses::add);
        assertEquals(addresses.size(), pages.count());
        // on AMD-V a page counts as written when it is first mapped, which fetching code does
        addresses.remove(0x1000L);
        return addresses;
    }
}
