package org.kaval.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.kaval.kvm.KvmVm.Doorbell;
import org.kaval.kvm.KvmVm.Doorbell.AddressSpace;
import org.kaval.linux.EventFd;
import org.kaval.linux.Host;
import org.kaval.linux.Mmap;
import org.kaval.testing.AlsoOnVtX;
import org.kaval.testing.NeedsKvm;

/// A few bytes of real-mode code run and exit. Needs KVM, any kind.
@NeedsKvm
class KvmGuestTest {
    private @Nullable Kvm kvm;

    @BeforeEach
    void open() throws Exception {
        kvm = Kvm.open();
    }

    @AfterEach
    void close() {
        if (kvm != null) {
            kvm.close();
        }
    }

    private TinyGuest guest(int... code) throws Exception {
        assertNotNull(kvm);
        return new TinyGuest(kvm, code);
    }

    @Test
    @AlsoOnVtX
    void outIsAnExitAndThenTheGuestGoesOn() throws Exception {
        try (TinyGuest guest =
                guest(
                        0xba, 0xf8, 0x03, // mov dx, 0x3f8
                        0xb0, 0x41, // mov al, 'A'
                        0xee, // out dx, al
                        0xf4)) { // hlt
            KvmRun run = guest.vcpu.runState();
            assertEquals(KvmExit.IO, guest.vcpu.run());
            assertEquals(KvmExit.IO, run.exitReason());
            assertTrue(run.ioIsOut());
            assertEquals(0x3f8, run.ioPort());
            assertEquals(1, run.ioSize());
            assertEquals(1, run.ioCount());
            assertEquals('A', run.ioValue(0));
            assertEquals(KvmExit.HLT, guest.vcpu.run());
        }
    }

    @Test
    @AlsoOnVtX
    void inGetsTheAnswer() throws Exception {
        try (TinyGuest guest =
                guest(
                        0xba, 0xf8, 0x0c, // mov dx, 0xcf8
                        0xed, // in ax, dx
                        0xa3, 0x00, 0x05, // mov [0x500], ax
                        0xf4)) { // hlt
            KvmRun run = guest.vcpu.runState();
            assertEquals(KvmExit.IO, guest.vcpu.run());
            assertFalse(run.ioIsOut());
            assertEquals(2, run.ioSize());
            run.ioAnswer(0, 0x1234);
            assertEquals(KvmExit.HLT, guest.vcpu.run());
            assertEquals(0x1234, guest.memory.get(JAVA_SHORT, 0x500));
        }
    }

    @Test
    @AlsoOnVtX
    void stringInputIsSeveralElementsInOneExit() throws Exception {
        try (TinyGuest guest =
                guest(
                        0xfc, // cld
                        0xbf, 0x00, 0x06, // mov di, 0x600
                        0xb9, 0x03, 0x00, // mov cx, 3
                        0xba, 0xf8, 0x03, // mov dx, 0x3f8
                        0xf3, 0x6c, // rep insb
                        0xf4)) { // hlt
            KvmRun run = guest.vcpu.runState();
            assertEquals(KvmExit.IO, guest.vcpu.run());
            assertEquals(3, run.ioCount());
            run.ioAnswer(0, 'a');
            run.ioAnswer(1, 'b');
            run.ioAnswer(2, 'c');
            assertEquals(KvmExit.HLT, guest.vcpu.run());
            assertArrayEquals(
                    "abc".getBytes(US_ASCII), guest.memory.asSlice(0x600, 3).toArray(JAVA_BYTE));
        }
    }

    @Test
    @AlsoOnVtX
    void accessBeyondMemoryIsAnExit() throws Exception {
        try (TinyGuest guest =
                guest(
                        0xa1, 0x10, 0x80, // mov ax, [0x8010]
                        0x40, // inc ax
                        0xa3, 0x20, 0x80, // mov [0x8020], ax
                        0xf4)) { // hlt
            KvmRun run = guest.vcpu.runState();
            assertEquals(KvmExit.MMIO, guest.vcpu.run());
            assertFalse(run.mmioIsWrite());
            assertEquals(0x8010, run.mmioAddress());
            assertEquals(2, run.mmioLength());
            run.mmioAnswer(0x1233);
            assertEquals(KvmExit.MMIO, guest.vcpu.run());
            assertTrue(run.mmioIsWrite());
            assertEquals(0x8020, run.mmioAddress());
            assertEquals(0x1234, run.mmioValue());
            assertEquals(KvmExit.HLT, guest.vcpu.run());
        }
    }

    @Test
    @AlsoOnVtX
    void doorbellSignalsWithoutAnExit() throws Exception {
        try (EventFd doorbell = EventFd.create("doorbell");
                TinyGuest guest =
                        guest(
                                0xba, 0x10, 0x05, // mov dx, 0x510
                                0xee, // out dx, al
                                0xef, // out dx, ax: another length
                                0xf4)) { // hlt
            guest.vm.assignIoeventfd(
                    doorbell, new Doorbell(AddressSpace.PIO, 0x510, 0, OptionalLong.empty()));
            assertEquals(KvmExit.HLT, guest.vcpu.run());
            assertEquals(2, doorbell.drain());
        }
    }

    @Test
    @AlsoOnVtX
    void doorbellInMemorySignalsWithoutAnExit() throws Exception {
        try (EventFd doorbell = EventFd.create("doorbell");
                TinyGuest guest =
                        guest(
                                0xa3, 0x00, 0x90, // mov [0x9000], ax
                                0xf4)) { // hlt
            guest.vm.assignIoeventfd(
                    doorbell, new Doorbell(AddressSpace.MMIO, 0x9000, 2, OptionalLong.empty()));
            assertEquals(KvmExit.HLT, guest.vcpu.run());
            assertEquals(1, doorbell.drain());
        }
    }

    @Test
    @AlsoOnVtX
    void doorbellThatMatchesAValueLeavesTheOthersAlone() throws Exception {
        try (EventFd doorbell = EventFd.create("doorbell");
                TinyGuest guest =
                        guest(
                                0xba, 0x10, 0x05, // mov dx, 0x510
                                0xb0, 0x07, // mov al, 7
                                0xee, // out dx, al
                                0xb0, 0x08, // mov al, 8
                                0xee, // out dx, al
                                0xf4)) { // hlt
            guest.vm.assignIoeventfd(
                    doorbell, new Doorbell(AddressSpace.PIO, 0x510, 1, OptionalLong.of(7)));
            assertEquals(KvmExit.IO, guest.vcpu.run());
            assertEquals(8, guest.vcpu.runState().ioValue(0));
            assertEquals(KvmExit.HLT, guest.vcpu.run());
            assertEquals(1, doorbell.drain());
        }
    }

    @Test
    @AlsoOnVtX
    void writtenPagesAreInTheDirtyLogOnce() throws Exception {
        try (TinyGuest guest =
                        guest(
                                0xa3, 0x00, 0x30, // mov [0x3000], ax
                                0xa3, 0xfe, 0x5f, // mov [0x5ffe], ax
                                0xf4); // hlt
                Arena arena = Arena.ofConfined()) {
            MemorySegment bitmap = arena.allocate(JAVA_LONG);
            guest.vm.getDirtyLog(0, bitmap);
            assertEquals(KvmExit.HLT, guest.vcpu.run());
            guest.vm.getDirtyLog(0, bitmap);
            assertEquals(1 << 3 | 1 << 5, withoutCode(bitmap));
            guest.vm.getDirtyLog(0, bitmap);
            assertEquals(0, withoutCode(bitmap));
        }
    }

    /// On AMD-V a page counts as written when it is first mapped, which fetching code does.
    private static long withoutCode(MemorySegment bitmap) {
        return bitmap.get(JAVA_LONG, 0) & ~(1 << 1);
    }

    /// The guest has run before it steps: Bochs takes the fetch that finds its page not mapped yet
    /// for a step.
    @Test
    @AlsoOnVtX
    void singleStepsAreExits() throws Exception {
        try (TinyGuest guest =
                guest(
                        0xf4, // hlt
                        0x40, // inc ax
                        0x40, // inc ax
                        0xf4)) { // hlt
            assertEquals(KvmExit.HLT, guest.vcpu.run());
            guest.vcpu.setSingleStep(true);
            assertEquals(KvmExit.DEBUG, guest.vcpu.run());
            assertEquals(TinyGuest.CODE + 2, guest.vcpu.runState().debugAddress());
            assertEquals(1, guest.vcpu.runState().debugException());
            guest.vcpu.setSingleStep(false);
            assertEquals(KvmExit.HLT, guest.vcpu.run());
            guest.vcpu.getRegs(guest.regs);
            assertEquals(2, guest.regs.rax());
        }
    }

    @Test
    @AlsoOnVtX
    void realModeAddressesArePhysical() throws Exception {
        try (TinyGuest guest = guest(0xf4)) {
            assertEquals(OptionalLong.of(0x1234), guest.vcpu.translate(0x1234));
        }
    }

    @Test
    @AlsoOnVtX
    void immediateExitEndsTheRunBeforeTheGuest() throws Exception {
        try (TinyGuest guest =
                guest(
                        0x40, // inc ax
                        0xf4)) { // hlt
            guest.vcpu.runState().immediateExit(true);
            assertEquals(KvmVcpu.INTERRUPTED, guest.vcpu.run());
            guest.vcpu.getRegs(guest.regs);
            assertEquals(TinyGuest.CODE, guest.regs.rip());
            guest.vcpu.runState().immediateExit(false);
            assertEquals(KvmExit.HLT, guest.vcpu.run());
        }
    }

    @Test
    @AlsoOnVtX
    void kickEndsARunFromOutside() throws Exception {
        try (TinyGuest guest =
                guest(
                        0xfb, // sti
                        0xeb, 0xfe)) { // jmp $
            assertEquals(KvmVcpu.INTERRUPTED, reasonAfterKicks(guest));
        }
    }

    /// Not in Bochs, where no interrupt ends such a guest: see {@link AlsoOnVtX}.
    @Test
    void kickEndsARunWithInterruptsOff() throws Exception {
        try (TinyGuest guest = guest(0xeb, 0xfe)) { // jmp $
            assertEquals(KvmVcpu.INTERRUPTED, reasonAfterKicks(guest));
        }
    }

    private static int reasonAfterKicks(TinyGuest guest) throws Exception {
        var reason = new AtomicInteger();
        Host.kickUntilDone(() -> reason.set(guest.vcpu.run()));
        return reason.get();
    }

    @Test
    @AlsoOnVtX
    void memoryThatIsTakenAwayIsMmio() throws Exception {
        try (TinyGuest guest =
                guest(
                        0xa0, 0x00, 0x70, // mov al, [0x7000]
                        0xf4)) { // hlt
            guest.vm.setUserMemoryRegion(0, 0, 0, guest.memory.asSlice(0, 0));
            guest.vm.setUserMemoryRegion(0, 0, 0, guest.memory.asSlice(0, 2 * Mmap.PAGE_SIZE));
            assertEquals(KvmExit.MMIO, guest.vcpu.run());
            assertEquals(0x7000, guest.vcpu.runState().mmioAddress());
        }
    }
}
