package org.kaval.machine.trace;

/// The names of a function's configuration registers (PCI 3.0 §6.1, header type 0).
final class PciRegister {
    private static final int BARS = 0x10;
    private static final int BARS_END = 0x28;
    private static final int CAPABILITIES = 0x40;
    private static final int EXTENDED = 0x100;

    private PciRegister() {}

    /// Of the register that `offset` lies in.
    static String name(int offset) {
        if (offset >= BARS && offset < BARS_END) {
            return "BAR " + (offset - BARS) / Integer.BYTES;
        }
        if (offset >= CAPABILITIES) {
            return "%s 0x%x"
                    .formatted(
                            offset < EXTENDED ? "capability at" : "extended configuration",
                            offset & -Integer.BYTES);
        }
        return switch (offset) {
            case 0, 1 -> "vendor";
            case 2, 3 -> "device";
            case 4, 5 -> "command";
            case 6, 7 -> "status";
            case 8 -> "revision";
            case 9, 0xa, 0xb -> "class";
            case 0xc -> "cache line size";
            case 0xd -> "latency timer";
            case 0xe -> "header type";
            case 0xf -> "BIST";
            case 0x2c, 0x2d -> "subsystem vendor";
            case 0x2e, 0x2f -> "subsystem";
            case 0x30, 0x31, 0x32, 0x33 -> "expansion ROM";
            case 0x34 -> "capabilities";
            case 0x3c -> "interrupt line";
            case 0x3d -> "interrupt pin";
            default -> "register 0x%x".formatted(offset);
        };
    }
}
