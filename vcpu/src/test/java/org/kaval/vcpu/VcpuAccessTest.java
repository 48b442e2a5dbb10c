package org.kaval.vcpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.kaval.vcpu.TinyGuest.HIGH_MMIO;
import static org.kaval.vcpu.TinyGuest.Kind.IN;
import static org.kaval.vcpu.TinyGuest.Kind.LOAD;
import static org.kaval.vcpu.TinyGuest.Kind.OUT;
import static org.kaval.vcpu.TinyGuest.Kind.STORE;
import static org.kaval.vcpu.TinyGuest.MMIO;

import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kaval.testing.NeedsKvm;
import org.kaval.vcpu.TinyGuest.Access;

/// What a guest does to ports and to memory that is not there. Needs any KVM.
@NeedsKvm
@Timeout(60)
class VcpuAccessTest {
    @Test
    void writesOfEveryWidthReachThePort() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.REAL16,
                        "b0 5a", //             mov al, 0x5a
                        "e6 10", //             out 0x10, al
                        "b8 ef be", //          mov ax, 0xbeef
                        "e7 20", //             out 0x20, ax
                        "ba 34 12", //          mov dx, 0x1234
                        "66 b8 ef be ad de", // mov eax, 0xdeadbeef
                        "66 ef", //             out dx, eax
                        "f4")) { //             hlt
            guest.runToExit();

            assertEquals(
                    List.of(
                            new Access(OUT, 0x10, 1, 0x5a),
                            new Access(OUT, 0x20, 2, 0xbeef),
                            new Access(OUT, 0x1234, 4, 0xdead_beefL)),
                    guest.accesses());
        }
    }

    @Test
    void readsOfEveryWidthTakeTheirPartOfTheAnswer() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.REAL16,
                        "66 b8 ff ff ff ff", // mov eax, 0xffffffff
                        "e4 10", //             in al, 0x10
                        "66 a3 00 30", //       mov [0x3000], eax
                        "66 b8 ff ff ff ff", // mov eax, 0xffffffff
                        "e5 20", //             in ax, 0x20
                        "66 a3 04 30", //       mov [0x3004], eax
                        "ba 34 12", //          mov dx, 0x1234
                        "66 ed", //             in eax, dx
                        "66 a3 08 30", //       mov [0x3008], eax
                        "f4")) { //             hlt
            guest.answer(_ -> 0x1122_3344L);

            guest.runToExit();

            assertEquals(
                    List.of(
                            new Access(IN, 0x10, 1, 0x1122_3344),
                            new Access(IN, 0x20, 2, 0x1122_3344),
                            new Access(IN, 0x1234, 4, 0x1122_3344)),
                    guest.accesses());
            assertEquals(0xffff_ff44, guest.readInt(0x3000));
            assertEquals(0xffff_3344, guest.readInt(0x3004));
            assertEquals(0x1122_3344, guest.readInt(0x3008));
        }
    }

    @Test
    void stringOutputArrivesElementByElement() throws Exception {
        int count = 300;
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.REAL16,
                        "fc", //       cld
                        "be 00 30", // mov si, 0x3000
                        "b9 2c 01", // mov cx, 300
                        "ba f8 03", // mov dx, 0x3f8
                        "f3 6e", //    rep outsb
                        "f4")) { //    hlt
            IntStream.range(0, count)
                    .forEach(i ->
                            guest.memory().set(ValueLayout.JAVA_BYTE, 0x3000 + i, (byte) (i * 7)));

            guest.runToExit();

            assertEquals(
                    IntStream.range(0, count)
                            .mapToObj(i -> new Access(OUT, 0x3f8, 1, i * 7 & 0xff))
                            .toList(),
                    guest.accesses());
            assertEquals(0, guest.regs().rcx());
            assertEquals(0x3000 + count, guest.regs().rsi());
        }
    }

    @Test
    void stringInputIsAskedForElementByElement() throws Exception {
        int count = 300;
        var next = new AtomicInteger();
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.REAL16,
                        "fc", //       cld
                        "bf 00 38", // mov di, 0x3800
                        "b9 2c 01", // mov cx, 300
                        "ba f8 03", // mov dx, 0x3f8
                        "f3 6c", //    rep insb
                        "f4")) { //    hlt
            guest.answer(_ -> (long) next.incrementAndGet() * 7);

            guest.runToExit();

            assertEquals(
                    IntStream.rangeClosed(1, count).map(i -> i * 7 & 0xff).boxed().toList(),
                    IntStream.range(0, count).mapToObj(i -> guest.readByte(0x3800 + i)).toList());
            assertEquals(count, guest.accesses().size());
            assertEquals(0, guest.readByte(0x3800 + count));
            assertEquals(0x3800 + count, guest.regs().rdi());
        }
    }

    @Test
    void wideStringElementsKeepTheirWidth() throws Exception {
        var next = new AtomicInteger(0x0a0b_0c0d);
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.REAL16,
                        "fc", //       cld
                        "ba f8 03", // mov dx, 0x3f8
                        "be 00 30", // mov si, 0x3000
                        "b9 03 00", // mov cx, 3
                        "f3 6f", //    rep outsw
                        "b9 02 00", // mov cx, 2
                        "f3 66 6f", // rep outsd
                        "bf 00 38", // mov di, 0x3800
                        "b9 02 00", // mov cx, 2
                        "f3 66 6d", // rep insd
                        "f4")) { //    hlt
            guest.memory().set(ValueLayout.JAVA_LONG_UNALIGNED, 0x3000, 0x8877_6655_4433_2211L);
            guest.memory().set(ValueLayout.JAVA_LONG_UNALIGNED, 0x3008, 0xffee_ddcc_bbaaL);
            guest.answer(
                    access -> access.kind() == IN ? (long) next.getAndIncrement() : access.value());

            guest.runToExit();

            assertEquals(
                    List.of(
                            new Access(OUT, 0x3f8, 2, 0x2211),
                            new Access(OUT, 0x3f8, 2, 0x4433),
                            new Access(OUT, 0x3f8, 2, 0x6655),
                            new Access(OUT, 0x3f8, 4, 0xbbaa_8877L),
                            new Access(OUT, 0x3f8, 4, 0xffee_ddccL),
                            new Access(IN, 0x3f8, 4, 0x0a0b_0c0d),
                            new Access(IN, 0x3f8, 4, 0x0a0b_0c0e)),
                    guest.accesses());
            assertEquals(0x0a0b_0c0e_0a0b_0c0dL, guest.readLong(0x3800));
        }
    }

    @Test
    void storesOfUpToFourBytesReachTheDevice() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.PROTECTED32,
                        "c6 05 00 00 40 00 5a", //          mov byte [0x400000], 0x5a
                        "66 c7 05 02 00 40 00 ef be", //    mov word [0x400002], 0xbeef
                        "c7 05 04 00 40 00 ef be ad de", // mov dword [0x400004], 0xdeadbeef
                        "f4")) { //                         hlt
            guest.runToExit();

            assertEquals(
                    List.of(
                            new Access(STORE, MMIO, 1, 0x5a),
                            new Access(STORE, MMIO + 2, 2, 0xbeef),
                            new Access(STORE, MMIO + 4, 4, 0xdead_beefL)),
                    guest.accesses());
        }
    }

    @Test
    void loadsOfUpToFourBytesTakeTheirPartOfTheAnswer() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.PROTECTED32,
                        "b8 ff ff ff ff", //    mov eax, 0xffffffff
                        "a0 01 00 40 00", //    mov al, [0x400001]
                        "a3 00 30 00 00", //    mov [0x3000], eax
                        "b8 ff ff ff ff", //    mov eax, 0xffffffff
                        "66 a1 02 00 40 00", // mov ax, [0x400002]
                        "a3 04 30 00 00", //    mov [0x3004], eax
                        "a1 04 00 40 00", //    mov eax, [0x400004]
                        "a3 08 30 00 00", //    mov [0x3008], eax
                        "f4")) { //             hlt
            guest.answer(_ -> 0x1122_3344_5566_7788L);

            guest.runToExit();

            assertEquals(
                    List.of(
                            new Access(LOAD, MMIO + 1, 1, 0x1122_3344_5566_7788L),
                            new Access(LOAD, MMIO + 2, 2, 0x1122_3344_5566_7788L),
                            new Access(LOAD, MMIO + 4, 4, 0x1122_3344_5566_7788L)),
                    guest.accesses());
            assertEquals(0xffff_ff88, guest.readInt(0x3000));
            assertEquals(0xffff_7788, guest.readInt(0x3004));
            assertEquals(0x5566_7788, guest.readInt(0x3008));
        }
    }

    @Test
    void eightBytesAreOneAccessAt64BitAddresses() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.LONG64,
                        "48 bb 00 00 00 00 02 00 00 00", // mov rbx, 0x200000000
                        "48 b8 88 77 66 55 44 33 22 f1", // mov rax, 0xf122334455667788
                        "48 89 03", //                      mov [rbx], rax
                        "48 8b 4b 08", //                   mov rcx, [rbx + 8]
                        "48 89 0c 25 00 30 00 00", //       mov [0x3000], rcx
                        "f4")) { //                         hlt
            guest.answer(_ -> 0xfedc_ba98_7654_3210L);

            guest.runToExit();

            assertEquals(
                    List.of(
                            new Access(STORE, HIGH_MMIO, 8, 0xf122_3344_5566_7788L),
                            new Access(LOAD, HIGH_MMIO + 8, 8, 0xfedc_ba98_7654_3210L)),
                    guest.accesses());
            assertEquals(0xfedc_ba98_7654_3210L, guest.readLong(0x3000));
        }
    }

    @Test
    void accessAcrossPagesComesInTwoParts() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.PROTECTED32,
                        "c7 05 fe 0f 40 00 11 22 33 44", // mov dword [0x400ffe], 0x44332211
                        "a1 fe 0f 40 00", //                mov eax, [0x400ffe]
                        "a3 00 30 00 00", //                mov [0x3000], eax
                        "f4")) { //                         hlt
            guest.answer(access -> access.address() == MMIO + 0xffe ? 0xbbaaL : 0xddccL);

            guest.runToExit();

            assertEquals(
                    List.of(
                            new Access(STORE, MMIO + 0xffe, 2, 0x2211),
                            new Access(STORE, MMIO + 0x1000, 2, 0x4433),
                            new Access(LOAD, MMIO + 0xffe, 2, 0xbbaa),
                            new Access(LOAD, MMIO + 0x1000, 2, 0xddcc)),
                    guest.accesses());
            assertEquals(0xddcc_bbaa, guest.readInt(0x3000));
        }
    }

    @Test
    void readModifyWriteIsALoadAndAStore() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.PROTECTED32,
                        "ff 05 00 00 40 00", // inc dword [0x400000]
                        "f4")) { //             hlt
            guest.answer(_ -> 41L);

            guest.runToExit();

            assertEquals(
                    List.of(new Access(LOAD, MMIO, 4, 41), new Access(STORE, MMIO, 4, 42)),
                    guest.accesses());
        }
    }

    @Test
    void accessesAreCountedAndRemembered() throws Exception {
        try (TinyGuest guest =
                TinyGuest.of(
                        TinyGuest.PROTECTED32,
                        "e6 10", //          out 0x10, al
                        "e5 20", //          in eax, 0x20
                        "a0 00 00 40 00", // mov al, [0x400000]
                        "a2 01 00 40 00", // mov [0x400001], al
                        "f4")) { //          hlt
            guest.runToExit();

            assertEquals(
                    List.of(
                            "IO write 0x10, 1 bytes",
                            "IO read 0x20, 4 bytes",
                            "MMIO read 0x400000, 1 bytes",
                            "MMIO write 0x400001, 1 bytes",
                            "HLT"),
                    guest.vcpu().statistics().recent());
            assertEquals(2, guest.vcpu().statistics().counts().get("IO"));
            assertEquals(2, guest.vcpu().statistics().counts().get("MMIO"));
            assertEquals(1, guest.vcpu().statistics().counts().get("HLT"));
        }
    }
}
