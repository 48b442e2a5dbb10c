package org.kaval.devices.pci;

/// The host bridge, device 0 of bus 0.
///
/// It is Intel's of the Q35 (82G33, 8086:29c0), as in QEMU's machine of that name: OVMF knows three
/// host bridges and stops at any other, and this one alone says where the ECAM is (`PCIEXBAR`,
/// Intel 3 Series data sheet §5.1.14), which SeaBIOS looks at, too. Linux has no work-arounds for
/// it. The ECAM stays where it is, whatever is written.
public final class PciHostBridge {
    private static final int INTEL = 0x8086;
    private static final int Q35 = 0x29c0;
    private static final int HOST_BRIDGE = 0x06_0000;
    private static final int PCIEXBAR = 0x60;
    private static final int PCIEXBAR_ENABLE = 1;

    private PciHostBridge() {}

    /// @param ecam where the configuration space of 256 buses is, a multiple of 256 MiB
    public static PciFunction create(long ecam) {
        var bridge = new PciFunction(new PciIdentity(INTEL, Q35, 0, HOST_BRIDGE, 0, 0));
        bridge.setRegister(PCIEXBAR, Long.BYTES, ecam | PCIEXBAR_ENABLE);
        return bridge;
    }
}
