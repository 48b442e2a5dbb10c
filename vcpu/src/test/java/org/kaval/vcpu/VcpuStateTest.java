package org.kaval.vcpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.vcpu.TinyGuest.Kind.OUT;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kaval.kvm.Capability;
import org.kaval.kvm.KvmMsr;
import org.kaval.kvm.KvmRegs;
import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVcpuState;
import org.kaval.testing.NeedsKvm;
import org.kaval.vcpu.TinyGuest.Access;

/// A guest stops in the middle, and goes on in another machine. Needs any KVM.
@NeedsKvm
@Timeout(60)
class VcpuStateTest {
    private static final int LSTAR = 0xc000_0082;
    private static final int KERNEL_GS_BASE = 0xc000_0102;

    private static final int TSC = 0x10;

    /// More cycles than a new machine's counter has, and fewer than that of a host that is up.
    private static final long FIRST_SECONDS = 10 * 6_000_000_000L;

    private static final int EFER = 0xc000_0080;

    /// The time-stamp counter, and Hyper-V's two clocks where the kernel has them
    /// (`HV_X64_MSR_VP_RUNTIME`, `HV_X64_MSR_TIME_REF_COUNT`), go on by themselves.
    private static final Set<Integer> MOVING_MSRS = Set.of(TSC, 0x4000_0010, 0x4000_0020);

    // layout of the XSAVE area: Intel SDM vol. 1 §13.4
    private static final int XMM0 = 160;
    private static final int XSTATE_BV = 512;
    private static final long SSE = 0b10;

    private static final String[] CODE = {
        "e6 10", //                   out 0x10, al: where it is stopped
        "48 8b 04 25 00 30 00 00", // mov rax, [0x3000]
        "48 01 d8", //                add rax, rbx
        "4c 01 f8", //                add rax, r15
        "48 89 04 25 08 30 00 00", // mov [0x3008], rax
        "e6 11", //                   out 0x11, al
        "f4", //                      hlt
    };

    @Test
    void stateIsReadBackEqualPartByPart() throws Exception {
        try (TinyGuest source = stoppedInTheMiddle();
                TinyGuest target = TinyGuest.withIrqchip(TinyGuest.REAL16)) {
            VcpuState written = read(source);

            write(target, written);
            VcpuState readBack = read(target);

            assertEquals(hexParts(written), hexParts(readBack));
            assertArrayEquals(written.xsave().bytes(), readBack.xsave().bytes());
            assertEquals(written.xsave(), readBack.xsave());
            assertEquals(stillMsrs(written), stillMsrs(readBack));
            assertEquals(written.cpuid(), readBack.cpuid());
        }
    }

    @Test
    void stateHoldsWhatTheGuestHad() throws Exception {
        try (TinyGuest source = stoppedInTheMiddle()) {
            VcpuState state = read(source);

            assertEquals(0x1122_3344_5566_7788L, longAt(state.xsave().bytes(), XMM0));
            assertTrue(state.msrs().contains(new KvmMsr(LSTAR, 0x1234_5000)));
            assertTrue(state.msrs().contains(new KvmMsr(KERNEL_GS_BASE, 0x7654_3000)));
            assertEquals(0x4000, longAt(part(state, KvmVcpuState.DEBUGREGS), 0)); // DR0
            assertEquals(0x1ff, (int) longAt(part(state, KvmVcpuState.LAPIC), 0xf0));
        }
    }

    /// The value is far off, since kernels take one within a second of their own for an attempt to
    /// synchronize vCPUs. Where KVM has no hardware to shift the counter, every guest has the
    /// host's, and a write does nothing.
    @Test
    void timeStampCounterGoesOnFromWhereItWasIfItCanBeShifted() throws Exception {
        long tsc = 1L << 50;
        long passed = 1L << 49;
        try (TinyGuest source = stoppedInTheMiddle();
                TinyGuest target = TinyGuest.withIrqchip(TinyGuest.REAL16)) {
            VcpuState own = read(source);
            List<KvmMsr> msrs = List.of(new KvmMsr(TSC, tsc - passed));
            boolean hosts = tsc(read(target)) > FIRST_SECONDS;

            write(target, new VcpuState(own.parts(), own.xsave(), msrs, own.cpuid()), passed);

            long after = tsc(read(target));
            boolean shifted = after >= tsc && after < 2 * tsc;
            assertTrue(shifted || hosts, () -> "TSC is " + after);
        }
    }

    @Test
    void guestGoesOnInTheOtherMachine() throws Exception {
        try (TinyGuest source = stoppedInTheMiddle();
                TinyGuest target = TinyGuest.withIrqchip(TinyGuest.REAL16)) {
            VcpuState state = read(source);
            target.memory().copyFrom(source.memory());
            target.answer(_ -> {
                target.vcpu().requestPause();
                return 0L;
            });

            write(target, state);
            target.vcpu().resume();
            target.awaitPauseAfterAccess();

            // 1 from memory, 0x1000 from RBX, 0x1000000 from R15
            assertEquals(0x100_1001, target.readLong(0x3008));
            assertEquals(List.of(new Access(OUT, 0x11, 1, 1)), target.accesses());
            assertEquals(0, source.readLong(0x3008));
            assertEquals(0x2_0000_0000L, target.regs().rbp());
        }
    }

    @Test
    void stateThatLacksAPartIsRefused() throws Exception {
        try (TinyGuest source = stoppedInTheMiddle();
                TinyGuest target = TinyGuest.withIrqchip(TinyGuest.REAL16)) {
            VcpuState whole = read(source);
            var parts = new EnumMap<KvmVcpuState, byte[]>(whole.parts());
            parts.remove(KvmVcpuState.SREGS2);
            var incomplete = new VcpuState(parts, whole.xsave(), whole.msrs(), whole.cpuid());

            var refusal = assertThrows(IOException.class, () -> write(target, incomplete));

            assertEquals("the state has no SREGS2", refusal.getMessage());
        }
    }

    @Test
    void msrThatTheHostRefusesIsNamed() throws Exception {
        try (TinyGuest source = stoppedInTheMiddle();
                TinyGuest target = TinyGuest.withIrqchip(TinyGuest.REAL16)) {
            VcpuState own = read(source);
            List<KvmMsr> msrs = List.of(new KvmMsr(LSTAR, 1), new KvmMsr(EFER, -1));
            var foreign = new VcpuState(own.parts(), own.xsave(), msrs, own.cpuid());

            var refusal = assertThrows(IOException.class, () -> write(target, foreign));

            assertEquals(
                    "this host refuses [MSR 0xc0000080=0xffffffffffffffff]", refusal.getMessage());
        }
    }

    @Test
    void xsaveAreasAreEqualByContentAndShareNoArray() {
        byte[] bytes = {1, 2, 3};
        var area = new VcpuState.XsaveArea(bytes);

        bytes[0] = 9;
        area.bytes()[1] = 9;

        assertEquals(new VcpuState.XsaveArea(new byte[] {1, 2, 3}), area);
        assertEquals(new VcpuState.XsaveArea(new byte[] {1, 2, 3}).hashCode(), area.hashCode());
        assertNotEquals(new VcpuState.XsaveArea(new byte[] {1, 2, 4}), area);
    }

    /// A guest with something in every part of its state, behind its first `out`.
    private static TinyGuest stoppedInTheMiddle() throws IOException, InterruptedException {
        TinyGuest guest = TinyGuest.withIrqchip(TinyGuest.LONG64, CODE);
        guest.memory().set(ValueLayout.JAVA_LONG, 0x3000, 1);
        guest.vcpu().call(VcpuStateTest::fillRegisters);
        guest.vcpu().call(vcpu -> fillXmm0(vcpu, xsaveSize(guest)));
        guest.answer(_ -> {
            guest.vcpu().requestPause();
            return 0L;
        });
        guest.vcpu().resume();
        guest.awaitPauseAfterAccess();
        return guest;
    }

    private static boolean fillRegisters(KvmVcpu vcpu) throws IOException {
        var regs = new KvmRegs();
        vcpu.getRegs(regs);
        regs.rbx(0x1000);
        regs.rbp(0x2_0000_0000L);
        regs.r15(0x100_0000);
        vcpu.setRegs(regs);
        List<KvmMsr> refused =
                vcpu.setMsrs(
                        List.of(
                                new KvmMsr(LSTAR, 0x1234_5000),
                                new KvmMsr(KERNEL_GS_BASE, 0x7654_3000)));
        assertEquals(List.of(), refused);
        byte[] debug = vcpu.getState(KvmVcpuState.DEBUGREGS);
        littleEndian(debug).putLong(0, 0x4000);
        vcpu.setState(KvmVcpuState.DEBUGREGS, debug);
        byte[] apic = vcpu.getState(KvmVcpuState.LAPIC);
        littleEndian(apic).putInt(0xf0, 0x1ff); // software enable, spurious vector
        vcpu.setState(KvmVcpuState.LAPIC, apic);
        return true;
    }

    private static boolean fillXmm0(KvmVcpu vcpu, int xsaveSize) throws IOException {
        byte[] xsave = vcpu.getXsave(xsaveSize);
        ByteBuffer buffer = littleEndian(xsave);
        buffer.putLong(XMM0, 0x1122_3344_5566_7788L);
        buffer.putLong(XSTATE_BV, buffer.getLong(XSTATE_BV) | SSE);
        vcpu.setXsave(xsaveSize, xsave);
        return true;
    }

    private static VcpuState read(TinyGuest guest) throws IOException, InterruptedException {
        List<Integer> msrs = guest.kvm().msrIndexList();
        return guest.vcpu().call(vcpu -> VcpuState.read(vcpu, xsaveSize(guest), msrs, () -> 0));
    }

    private static void write(TinyGuest guest, VcpuState state)
            throws IOException, InterruptedException {
        write(guest, state, 0);
    }

    private static void write(TinyGuest guest, VcpuState state, long passed)
            throws IOException, InterruptedException {
        guest.vcpu()
                .call(vcpu -> {
                    state.write(vcpu, xsaveSize(guest), () -> passed);
                    return true;
                });
    }

    private static int xsaveSize(TinyGuest guest) {
        return guest.vm().check(Capability.XSAVE2);
    }

    private static Map<KvmVcpuState, String> hexParts(VcpuState state) {
        return state.parts().entrySet().stream()
                .collect(
                        Collectors.toMap(
                                Map.Entry::getKey, e -> HexFormat.of().formatHex(e.getValue())));
    }

    private static List<KvmMsr> stillMsrs(VcpuState state) {
        return state.msrs().stream().filter(msr -> !MOVING_MSRS.contains(msr.index())).toList();
    }

    private static long tsc(VcpuState state) {
        return state.msrs().stream()
                .filter(msr -> msr.index() == TSC)
                .mapToLong(KvmMsr::value)
                .findFirst()
                .orElseThrow();
    }

    private static byte[] part(VcpuState state, KvmVcpuState part) {
        byte[] bytes = state.parts().get(part);
        assertTrue(bytes != null, () -> "no " + part);
        return bytes == null ? new byte[0] : bytes;
    }

    private static long longAt(byte[] bytes, int offset) {
        return littleEndian(bytes).getLong(offset);
    }

    private static ByteBuffer littleEndian(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
}
