package org.kaval.vcpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.vcpu.TinyGuest.Kind.OUT;

import java.io.IOException;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kaval.kvm.KvmDescriptorTable;
import org.kaval.kvm.KvmExit;
import org.kaval.kvm.KvmSregs;
import org.kaval.kvm.KvmVcpu;
import org.kaval.testing.NeedsKvm;
import org.kaval.vcpu.TinyGuest.Access;

/// Why guests stop by themselves. Needs any KVM.
@NeedsKvm
@Timeout(60)
class VcpuStopTest {
    @Test
    void haltIsAnExitWhereNoIrqchipIsInTheKernel() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, "f4")) { // hlt
            VcpuExit exit = guest.runToExit();

            assertEquals(new VcpuExit.Halted(), exit);
            assertEquals(Vcpu.State.PAUSED, guest.vcpu().state());
            assertEquals(TinyGuest.CODE + 1, guest.regs().rip());
        }
    }

    @Test
    void haltedGuestGoesOnIfTheHandlerSaysSo() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.PROTECTED32,
                        "f4", //       hlt
                        "e6 10", //    out 0x10, al
                        "0f 0b")) { // ud2
            guest.goOnAfter(exit -> exit instanceof VcpuExit.Halted);
            emptyInterruptTable(guest);

            VcpuExit first = resumeAndAwait(guest);
            VcpuExit second = guest.nextExit();

            assertEquals(new VcpuExit.Halted(), first);
            assertEquals(new VcpuExit.Shutdown(), second);
            assertEquals(List.of(new Access(OUT, 0x10, 1, 0)), guest.accesses());
        }
    }

    @Test
    void haltedGuestGoesOnWhenItIsResumed() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.REAL16,
                        "f4", //    hlt
                        "e6 10", // out 0x10, al
                        "f4")) { // hlt
            guest.runToExit();
            guest.runToExit();

            assertEquals(1, guest.accesses().size());
            assertEquals(TinyGuest.CODE + 4, guest.regs().rip());
        }
    }

    @Test
    void faultThatNoHandlerTakesIsAShutdown() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.PROTECTED32, "0f 0b")) { // ud2
            emptyInterruptTable(guest);

            VcpuExit exit = guest.runToExit();

            assertEquals(new VcpuExit.Shutdown(), exit);
            assertEquals(1, guest.vcpu().statistics().counts().get("SHUTDOWN"));
        }
    }

    /// Where ring 0 goes through the kernel's emulator, which lacks the instruction, it says so;
    /// where the processor runs it, the guest halts behind it.
    @Test
    void instructionThatTheEmulatorLacksEitherRunsOrIsNamed() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.REAL16,
                        "bb ff 00", //    mov bx, 0xff
                        "f3 0f b8 c3", // popcnt ax, bx
                        "f4")) { //       hlt
            VcpuExit exit = guest.runToExit();

            long bits = guest.regs().rax();
            assertTrue(
                    isEmulationFailure(exit, "f30fb8c3")
                            || (exit instanceof VcpuExit.Halted && bits == 8),
                    () -> "%s, ax is %d".formatted(exit, bits));
        }
    }

    @Test
    void singleStepsAreExitsAtAscendingAddresses() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.REAL16,
                        "90", //       nop
                        "40", //       inc ax
                        "b3 07", //    mov bl, 7
                        "89 c1", //    mov cx, ax
                        "f4")) { //    hlt
            setSingleStep(guest, true);

            List<VcpuExit> steps =
                    Stream.of(
                                    guest.runToExit(),
                                    guest.runToExit(),
                                    guest.runToExit(),
                                    guest.runToExit())
                            .toList();
            setSingleStep(guest, false);
            VcpuExit last = guest.runToExit();

            assertEquals(
                    List.of(
                            new VcpuExit.Debug(0x1001, 1),
                            new VcpuExit.Debug(0x1002, 1),
                            new VcpuExit.Debug(0x1004, 1),
                            new VcpuExit.Debug(0x1006, 1)),
                    steps);
            assertEquals(new VcpuExit.Halted(), last);
            assertEquals(1, guest.regs().rcx());
        }
    }

    private static VcpuExit resumeAndAwait(TinyGuest guest) throws InterruptedException {
        guest.vcpu().resume();
        return guest.nextExit();
    }

    private static void setSingleStep(TinyGuest guest, boolean on) throws Exception {
        guest.vcpu()
                .call(vcpu -> {
                    vcpu.setSingleStep(on);
                    return on;
                });
    }

    /// Makes every fault a triple fault.
    private static void emptyInterruptTable(TinyGuest guest) throws Exception {
        guest.vcpu().call(VcpuStopTest::emptyInterruptTable);
    }

    private static boolean emptyInterruptTable(KvmVcpu vcpu) throws IOException {
        var sregs = new KvmSregs();
        vcpu.getSregs(sregs);
        sregs.idt(new KvmDescriptorTable(0, 0));
        vcpu.setSregs(sregs);
        return true;
    }

    /// The first datum is flags, bit 0 of which says that the second begins with the instruction's
    /// length, and its bytes (`struct kvm_run`, `emulation_failure`).
    private static boolean isEmulationFailure(VcpuExit exit, String hexInstruction) {
        return exit instanceof VcpuExit.KvmInternalError(int suberror, List<Long> data)
                && suberror == KvmExit.INTERNAL_ERROR_EMULATION
                && exit.toString().startsWith("KVM internal error: emulation failure [0x")
                && (data.isEmpty()
                        || (data.get(0) & 1) == 0
                        || hexBytes(data.get(1)).startsWith(hexInstruction, 2));
    }

    private static String hexBytes(long littleEndian) {
        return "%016x".formatted(Long.reverseBytes(littleEndian));
    }
}
