package org.kaval.machine.acpi;

/// Where PCI's configuration space is mapped (PCI Firmware Specification 3.3 §4.1.2).
final class Mcfg {
    private Mcfg() {}

    static AcpiTable of(PciSegment pci) {
        return AcpiTable.of(
                "MCFG",
                1,
                new TableBytes()
                        .zeros(8)
                        .u64(pci.ecam().base())
                        .u16(0) // segment
                        .u8(0) // first bus
                        .u8(pci.buses() - 1)
                        .zeros(4));
    }
}
