package org.kaval.devices.platform;

/// Where firmware looks for how much memory there is, in the CMOS memory: the layout of the AT, and
/// what Bochs, QEMU and SeaBIOS added for more.
final class CmosMemorySize {
    private static final int BASE_KIB = 0x15;
    private static final int EXTENDED_KIB = 0x17;
    private static final int EXTENDED_KIB_FOUND = 0x30;
    private static final int ABOVE_16_MIB = 0x34;
    private static final int ABOVE_4_GIB = 0x5b;

    private static final long KIB = 1 << 10;
    private static final long CHUNK = 64 * KIB;
    private static final long MIB = KIB * KIB;
    private static final long MAX_BASE = 640 * KIB;

    private CmosMemorySize() {}

    static void write(byte[] cmos, long lowMemory, long highMemory) {
        put(cmos, BASE_KIB, 2, Math.min(lowMemory, MAX_BASE) / KIB);
        put(cmos, EXTENDED_KIB, 2, (lowMemory - MIB) / KIB);
        put(cmos, EXTENDED_KIB_FOUND, 2, (lowMemory - MIB) / KIB);
        put(cmos, ABOVE_16_MIB, 2, (lowMemory - 16 * MIB) / CHUNK);
        put(cmos, ABOVE_4_GIB, 3, highMemory / CHUNK);
    }

    /// Little-endian; what does not fit is the largest that does.
    private static void put(byte[] cmos, int register, int size, long value) {
        long most = (1L << (size * Byte.SIZE)) - 1;
        long clamped = Math.clamp(value, 0, most);
        for (int i = 0; i < size; i++) {
            cmos[register + i] = (byte) (clamped >> (i * Byte.SIZE));
        }
    }
}
