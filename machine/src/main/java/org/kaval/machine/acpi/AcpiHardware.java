package org.kaval.machine.acpi;

import java.util.List;

/// What the tables say of a machine.
///
/// @param apicIds of its processors, in their order
/// @param pci its PCI segment
/// @param devices objects for the scope `\_SB`: the devices that are found neither by PCI nor by a
///   table of their own
public record AcpiHardware(List<Integer> apicIds, PciSegment pci, List<Aml.Term> devices) {
    public AcpiHardware {
        apicIds = List.copyOf(apicIds);
        devices = List.copyOf(devices);
    }
}
