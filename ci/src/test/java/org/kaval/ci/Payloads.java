package org.kaval.ci;

import java.io.ByteArrayOutputStream;
import java.util.HexFormat;

/// Guests for tests, in machine code with the assembly beside it.
final class Payloads {
    private Payloads() {}

    /// 64-bit: ends with `code` through the debug-exit port.
    static byte[] exit(int code) {
        return bytes(
                "b8 %02x 00 00 00".formatted(code), // mov eax, code
                "e7 f4", // out 0xf4, eax
                "f4"); // hlt
    }

    /// 64-bit: counts at 0x200000 for ever, with interrupts off.
    static byte[] count() {
        return bytes(
                "fa", // cli
                "48 ff 04 25 00 00 20 00", // inc qword ptr [0x200000]
                "eb f6"); // jmp to the inc
    }

    /// 64-bit: sends '>' and then what it receives; ends with 7 when that is a line feed.
    static byte[] echo() {
        return bytes(
                "66 ba f8 03", // mov dx, 0x3f8
                "b0 3e", // mov al, '>'
                "ee", // out dx, al
                "66 ba fd 03", // next: mov dx, 0x3fd
                "ec", // in al, dx
                "a8 01", // test al, 1
                "74 fb", // jz to the in
                "66 ba f8 03", // mov dx, 0x3f8
                "ec", // in al, dx
                "3c 0a", // cmp al, '\n'
                "74 03", // je to the exit
                "ee", // out dx, al
                "eb eb", // jmp next
                "b8 07 00 00 00", // mov eax, 7
                "e7 f4"); // out 0xf4, eax
    }

    /// 64-bit: says hello, and waits in vain for an interrupt.
    static byte[] hello() {
        return bytes(
                "66 ba f8 03", // mov dx, 0x3f8
                "b0 68 ee", // mov al, 'h'; out dx, al
                "b0 65 ee",
                "b0 6c ee",
                "b0 6c ee",
                "b0 6f ee",
                "b0 0a ee",
                "fb", // sti
                "f4", // wait: hlt
                "eb fd"); // jmp wait
    }

    static byte[] bytes(String... hex) {
        var code = new ByteArrayOutputStream();
        for (String part : hex) {
            code.writeBytes(HexFormat.ofDelimiter(" ").parseHex(part));
        }
        return code.toByteArray();
    }
}
