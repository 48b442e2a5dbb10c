package org.kaval.vcpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.kaval.vcpu.TinyGuest.Kind.OUT;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kaval.kvm.KvmRegs;
import org.kaval.testing.AlsoOnVtX;
import org.kaval.testing.NeedsKvm;
import org.kaval.vcpu.TinyGuest.Access;

/// Each guest begins with an instruction whose meaning depends on the mode, and uses its stack and
/// the tables that it was given. Needs any KVM.
@NeedsKvm
@AlsoOnVtX
@Timeout(60)
class EntryModeTest {
    @Test
    void realModeRuns16BitCode() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.REAL16,
                        "b8 34 12", // mov ax, 0x1234
                        "e7 10", //    out 0x10, ax
                        "50", //       push ax
                        "f4")) { //    hlt
            VcpuExit exit = guest.runToExit();

            assertInstanceOf(VcpuExit.Halted.class, exit);
            assertEquals(List.of(new Access(OUT, 0x10, 2, 0x1234)), guest.accesses());
            assertEquals(0x1234, guest.readInt(TinyGuest.STACK - 2) & 0xffff);
            assertEquals(TinyGuest.STACK - 2, guest.regs().rsp());
            assertEquals(TinyGuest.CODE + 7, guest.regs().rip());
        }
    }

    @Test
    void protectedModeRuns32BitCodeAndHasItsTable() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.PROTECTED32,
                        "b8 78 56 34 12", //       mov eax, 0x12345678
                        "e7 10", //                out 0x10, eax
                        "50", //                   push eax
                        "66 b8 18 00", //          mov ax, 0x18
                        "8e d8", //                mov ds, ax
                        "8e c0", //                mov es, ax
                        "8e d0", //                mov ss, ax
                        "ea 19 10 00 00 10 00", // jmp 0x10:0x1019
                        "f4")) { //                hlt
            VcpuExit exit = guest.runToExit();

            assertInstanceOf(VcpuExit.Halted.class, exit);
            assertEquals(List.of(new Access(OUT, 0x10, 4, 0x1234_5678)), guest.accesses());
            assertEquals(0x1234_5678, guest.readInt(TinyGuest.STACK - 4));
            assertEquals(TinyGuest.STACK - 4, guest.regs().rsp());
            assertEquals(TinyGuest.CODE + 0x1a, guest.regs().rip());
            assertEquals(0x10, guest.sregs().cs().selector());
            assertEquals(0x18, guest.sregs().ss().selector());
        }
    }

    @Test
    void longModeRuns64BitCodeAndHasItsTables() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.LONG64,
                        "48 b8 f0 de bc 9a 78 56 34 12", // mov rax, 0x123456789abcdef0
                        "48 89 c3", //                      mov rbx, rax
                        "50", //                            push rax
                        "48 c1 e8 20", //                   shr rax, 32
                        "e7 10", //                         out 0x10, eax
                        "66 b8 18 00", //                   mov ax, 0x18
                        "8e d8", //                         mov ds, ax
                        "8e d0", //                         mov ss, ax
                        "6a 10", //                         push 0x10
                        "48 8d 05 03 00 00 00", //          lea rax, [rel next]
                        "50", //                            push rax
                        "48 cb", //                         retfq
                        "f4")) { //                         next: hlt
            VcpuExit exit = guest.runToExit();

            assertInstanceOf(VcpuExit.Halted.class, exit);
            assertEquals(List.of(new Access(OUT, 0x10, 4, 0x1234_5678)), guest.accesses());
            KvmRegs regs = guest.regs();
            assertEquals(0x1234_5678_9abc_def0L, regs.rbx());
            assertEquals(0x1234_5678_9abc_def0L, guest.readLong(TinyGuest.STACK - 8));
            assertEquals(TinyGuest.STACK - 8, regs.rsp());
            assertEquals(TinyGuest.CODE + 0x29, regs.rip());
            assertEquals(0x10, guest.sregs().cs().selector());
        }
    }

    @Test
    void interruptsAreOffAndGeneralRegistersZero() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.LONG64, "f4")) {
            KvmRegs regs = guest.regs();

            assertEquals(2, regs.rflags());
            assertEquals(
                    List.of(0L, 0L, 0L, 0L, 0L, 0L),
                    List.of(
                            regs.rax(),
                            regs.rbx(),
                            regs.rcx(),
                            regs.rdx(),
                            regs.rsi(),
                            regs.r15()));
        }
    }
}
