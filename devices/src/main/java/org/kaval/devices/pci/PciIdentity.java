package org.kaval.devices.pci;

/// What a function is, as drivers look for it (PCI 3.0 §6.2.1).
///
/// @param vendor 16 bits
/// @param device 16 bits
/// @param revision 8 bits
/// @param classCode 24 bits: base class, subclass, programming interface
/// @param subsystemVendor 16 bits
/// @param subsystem 16 bits
public record PciIdentity(
        int vendor, int device, int revision, int classCode, int subsystemVendor, int subsystem) {
    public PciIdentity {
        check(vendor, Short.SIZE);
        check(device, Short.SIZE);
        check(revision, Byte.SIZE);
        check(classCode, 3 * Byte.SIZE);
        check(subsystemVendor, Short.SIZE);
        check(subsystem, Short.SIZE);
    }

    private static void check(int value, int bits) {
        if (value >>> bits != 0) {
            throw new IllegalArgumentException("0x%x has more than %d bits".formatted(value, bits));
        }
    }
}
