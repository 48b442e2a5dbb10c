package org.kaval.machine;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.ByteArrayOutputStream;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.boot.FlatPayload.Mode;

/// The guests of these tests: a few instructions each.
final class Guests {
    private Guests() {}

    static FlatPayload real16(int... code) {
        return FlatPayload.of(bytes(code), Mode.REAL16);
    }

    static FlatPayload protected32(int... code) {
        return FlatPayload.of(bytes(code), Mode.PROTECTED32);
    }

    static FlatPayload long64(int... code) {
        return FlatPayload.of(bytes(code), Mode.LONG64);
    }

    static byte[] bytes(int... code) {
        byte[] bytes = new byte[code.length];
        for (int i = 0; i < code.length; i++) {
            bytes[i] = (byte) code[i];
        }
        return bytes;
    }

    private static FlatPayload real16WithText(String text, int... code) {
        var all = new ByteArrayOutputStream();
        all.writeBytes(bytes(code));
        all.writeBytes(text.getBytes(US_ASCII));
        all.write(0);
        return FlatPayload.of(all.toByteArray(), Mode.REAL16);
    }

    // @formatter:off

    /// Ends the machine with `code`, after it has sent it to the serial port.
    static FlatPayload exits(int code) {
        return real16(
                0xba, 0xf8, 0x03, // mov dx, 0x3f8
                0xb0, code,       // mov al, code
                0xee,             // out dx, al
                0xe6, 0xf4,       // out 0xf4, al
                0xf4);            // hlt
    }

    /// Powers off through the PM1 control register: SLP_TYP 5 and SLP_EN.
    static FlatPayload powersOff() {
        return real16(
                0xba, 0x04, 0x06, // mov dx, 0x604
                0xb8, 0x00, 0x34, // mov ax, 0x3400
                0xef,             // out dx, ax
                0xf4);            // hlt
    }

    /// Runs for ever, with interrupts off.
    static FlatPayload spins() {
        return long64(
                0xfa,        // cli
                0xeb, 0xfe); // self: jmp self
    }

    /// Waits for ever, with interrupts off.
    static FlatPayload halts() {
        return long64(
                0xfa,        // cli
                0xf4,        // halt: hlt
                0xeb, 0xfd); // jmp halt
    }

    /// Waits for ever for an interrupt that does not come: the 8259s' and the APIC's are masked.
    static FlatPayload waitsWithInterruptsOn() {
        return real16(
                0xfa,        // cli
                0xb0, 0xff,  // mov al, 0xff
                0xe6, 0x21,  // out 0x21, al
                0xe6, 0xa1,  // out 0xa1, al
                0xfb,        // sti
                0xf4,        // halt: hlt
                0xeb, 0xfd); // jmp halt
    }

    /// Where {@link #counts} has its counter, 8 bytes.
    static final int COUNTER = 0x2000;

    /// Counts for ever.
    static FlatPayload counts() {
        return long64(
                0x48, 0xff, 0x04, 0x25, 0x00, 0x20, 0x00, 0x00, // next: inc qword [0x2000]
                0xeb, 0xf6);                                    // jmp next
    }

    /// Where {@link #countsWithClock} has KVM's clock.
    static final int CLOCK = 0x3000;

    /// Counts for ever, and uses KVM's clock (MSR_KVM_SYSTEM_TIME_NEW).
    static FlatPayload countsWithClock() {
        return long64(
                0xb9, 0x01, 0x4d, 0x56, 0x4b,                   // mov ecx, 0x4b564d01
                0xb8, 0x01, 0x30, 0x00, 0x00,                   // mov eax, 0x3001: there, and on
                0x31, 0xd2,                                     // xor edx, edx
                0x0f, 0x30,                                     // wrmsr
                0x48, 0xff, 0x04, 0x25, 0x00, 0x20, 0x00, 0x00, // next: inc qword [0x2000]
                0xeb, 0xf6);                                    // jmp next
    }

    /// Where {@link #triplesFault} fails.
    static final int FAULT_RIP = 0x10_0007;

    /// Divides by zero without an IDT, after a write to port 0x81.
    static FlatPayload triplesFault() {
        return long64(
                0x66, 0xba, 0x81, 0x00, // mov dx, 0x81
                0xee,                   // out dx, al
                0x31, 0xc9,             // xor ecx, ecx
                0xf7, 0xf1,             // div ecx
                0xf4);                  // hlt
    }

    /// Writes to port 0x500, and waits. When interrupt 5 comes, ends the machine with 0x55.
    static FlatPayload waitsForInterrupt5() {
        return real16(
                0x31, 0xc0,                         // xor ax, ax
                0x8e, 0xd8,                         // mov ds, ax
                0xc7, 0x06, 0x94, 0x00, 0x29, 0x7c, // mov word [0x25*4], handler
                0xa3, 0x96, 0x00,                   // mov [0x25*4+2], ax
                0xb0, 0x11,                         // mov al, 0x11: ICW1, edges, ICW4 follows
                0xe6, 0x20,                         // out 0x20, al
                0xb0, 0x20,                         // mov al, 0x20: ICW2, vectors from 0x20
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0x04,                         // mov al, 0x04: ICW3, the other PIC is at 2
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0x01,                         // mov al, 0x01: ICW4, 8086
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0xdf,                         // mov al, 0xdf: all but 5 are masked
                0xe6, 0x21,                         // out 0x21, al
                0xfb,                               // sti
                0xba, 0x00, 0x05,                   // mov dx, 0x500
                0xee,                               // out dx, al
                0xf4,                               // wait: hlt
                0xeb, 0xfd,                         // jmp wait
                0xb0, 0x55,                         // handler: mov al, 0x55
                0xe6, 0xf4,                         // out 0xf4, al
                0xcf);                              // iret
    }

    /// Sends `text` as the UART becomes ready, and exits with 9.
    static FlatPayload polls(String text) {
        return real16WithText(
                text,
                0xbe, 0x1f, 0x7c, // mov si, text
                0xac,             // next: lodsb
                0x84, 0xc0,       // test al, al
                0x74, 0x12,       // jz done
                0x88, 0xc4,       // mov ah, al
                0xba, 0xfd, 0x03, // mov dx, 0x3fd
                0xec,             // busy: in al, dx
                0xa8, 0x20,       // test al, 0x20
                0x74, 0xfb,       // jz busy
                0xba, 0xf8, 0x03, // mov dx, 0x3f8
                0x88, 0xe0,       // mov al, ah
                0xee,             // out dx, al
                0xeb, 0xe9,       // jmp next
                0xb0, 0x09,       // done: mov al, 9
                0xe6, 0xf4,       // out 0xf4, al
                0xf4);            // hlt
    }

    /// Sends `text`, a byte for each transmit interrupt, and exits with 7.
    static FlatPayload sendsByInterrupt(String text) {
        return real16WithText(
                text,
                0x31, 0xc0,                         // xor ax, ax
                0x8e, 0xd8,                         // mov ds, ax
                0xbe, 0x45, 0x7c,                   // mov si, text
                0xc7, 0x06, 0x90, 0x00, 0x2e, 0x7c, // mov word [0x24*4], handler
                0xa3, 0x92, 0x00,                   // mov [0x24*4+2], ax
                0xb0, 0x11,                         // mov al, 0x11: ICW1
                0xe6, 0x20,                         // out 0x20, al
                0xb0, 0x20,                         // mov al, 0x20: ICW2
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0x04,                         // mov al, 0x04: ICW3
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0x01,                         // mov al, 0x01: ICW4
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0xef,                         // mov al, 0xef: all but 4 are masked
                0xe6, 0x21,                         // out 0x21, al
                0xba, 0xf9, 0x03,                   // mov dx, 0x3f9
                0xb0, 0x02,                         // mov al, 2: when the transmitter is empty
                0xee,                               // out dx, al
                0xfb,                               // sti
                0xf4,                               // wait: hlt
                0xeb, 0xfd,                         // jmp wait
                0xba, 0xfa, 0x03,                   // handler: mov dx, 0x3fa
                0xec,                               // in al, dx
                0xac,                               // lodsb
                0x84, 0xc0,                         // test al, al
                0x74, 0x09,                         // jz done
                0xba, 0xf8, 0x03,                   // mov dx, 0x3f8
                0xee,                               // out dx, al
                0xb0, 0x20,                         // mov al, 0x20: end of interrupt
                0xe6, 0x20,                         // out 0x20, al
                0xcf,                               // iret
                0xb0, 0x07,                         // done: mov al, 7
                0xe6, 0xf4,                         // out 0xf4, al
                0xf4);                              // hlt
    }

    /// How much {@link #echoes} sends back: more than twice what waits for a guest. Where all is emulated,
    /// a byte takes 0.7 ms.
    static final int ECHOED = 10 << 10;

    /// Sends back {@link #ECHOED} bytes of what it receives, and exits with 3.
    static FlatPayload echoes() {
        return real16(
                0x66, 0xb9, 0x00, 0x28, 0x00, 0x00, // mov ecx, 0x2800
                0xba, 0xfd, 0x03,                   // next: mov dx, 0x3fd
                0xec,                               // empty: in al, dx
                0xa8, 0x01,                         // test al, 0x01
                0x74, 0xfb,                         // jz empty
                0xba, 0xf8, 0x03,                   // mov dx, 0x3f8
                0xec,                               // in al, dx
                0x88, 0xc4,                         // mov ah, al
                0xba, 0xfd, 0x03,                   // mov dx, 0x3fd
                0xec,                               // busy: in al, dx
                0xa8, 0x20,                         // test al, 0x20
                0x74, 0xfb,                         // jz busy
                0xba, 0xf8, 0x03,                   // mov dx, 0x3f8
                0x88, 0xe0,                         // mov al, ah
                0xee,                               // out dx, al
                0x66, 0x49,                         // dec ecx
                0x75, 0xe0,                         // jnz next
                0xb0, 0x03,                         // mov al, 3
                0xe6, 0xf4,                         // out 0xf4, al
                0xf4);                              // hlt
    }

    // @formatter:on
}
