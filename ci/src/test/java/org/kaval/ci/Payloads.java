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

    static byte[] bytes(String... hex) {
        var code = new ByteArrayOutputStream();
        for (String part : hex) {
            code.writeBytes(HexFormat.ofDelimiter(" ").parseHex(part));
        }
        return code.toByteArray();
    }
}
