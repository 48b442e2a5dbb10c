package org.kaval.machine.acpi;

import java.util.ArrayList;
import java.util.List;
import org.kaval.devices.platform.AcpiPm;

/// Differentiated system description table (ACPI 6.5 §5.2.11.1): the devices, in AML.
///
/// ```
/// \_S5          how to power off
/// \_SB.Cnnn     a processor each
/// \_SB.PCI0     the PCI segment
/// \_SB.MBRD     what no other device may use
/// \_SB.…        the machine's other devices
/// ```
final class Dsdt {
    /// 2 and above: numbers have 64 bits.
    private static final int REVISION = 2;

    private Dsdt() {}

    static AcpiTable of(AcpiHardware hardware) {
        var devices = new ArrayList<Aml.Term>();
        for (int uid = 0; uid < hardware.apicIds().size(); uid++) {
            devices.add(processor(uid));
        }
        devices.add(PciRoot.of(hardware.pci()));
        devices.add(mainboard(hardware.pci()));
        devices.addAll(hardware.devices());
        return AcpiTable.of(
                "DSDT",
                REVISION,
                new TableBytes().bytes(s5().code()).bytes(systemBus(devices).code()));
    }

    private static Aml.Term systemBus(List<Aml.Term> devices) {
        return Aml.scope("\\_SB", devices.toArray(Aml.Term[]::new));
    }

    /// §7.4.2.6: what goes to SLP_TYP of PM1a, and of PM1b, which there is not.
    private static Aml.Term s5() {
        return Aml.name(
                "\\_S5",
                Aml.packageOf(
                        Aml.integer(AcpiPm.SLP_TYP_S5),
                        Aml.integer(0),
                        Aml.integer(0),
                        Aml.integer(0)));
    }

    /// §8.4: its number is that of the MADT.
    private static Aml.Term processor(int uid) {
        return Aml.device(
                "C%03X".formatted(uid),
                Aml.name("_HID", Aml.string("ACPI0007")),
                Aml.name("_UID", Aml.integer(uid)));
    }

    /// Linux trusts an MCFG only where a mainboard resource has it (`pci_mmcfg_check_reserved`).
    private static Aml.Term mainboard(PciSegment pci) {
        return Aml.device(
                "MBRD",
                Aml.name("_HID", Aml.eisaId("PNP0C02")),
                Aml.name("_UID", Aml.integer(0)),
                Aml.name(
                        "_CRS",
                        Resource.template(
                                Resource.memory32(pci.ecam()), Resource.io(AcpiPm.PORTS))));
    }
}
