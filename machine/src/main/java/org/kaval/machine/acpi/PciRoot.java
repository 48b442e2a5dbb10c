package org.kaval.machine.acpi;

import java.util.ArrayList;
import org.kaval.devices.pci.PciConfigPorts;

/// The host bridge of a {@link PciSegment} in AML (ACPI 6.5 §6.2.11, §6.2.13; PCI Firmware
/// Specification 3.3 §4).
final class PciRoot {
    private static final String OSC_UUID = "33db4d5b-1ff7-401c-9657-7441c03dd766";

    // PCI Firmware Specification §4.5.1, table 4-5
    private static final int NATIVE_HOTPLUG = 1;
    private static final int PME = 1 << 2;
    private static final int ERROR_REPORTING = 1 << 3;
    private static final int EXPRESS_CAPABILITY = 1 << 4;
    private static final int LATENCY_TOLERANCE = 1 << 5;

    // ACPI 6.5 §6.2.11, table 6.12: what _OSC says in its first number
    private static final int UNKNOWN_UUID = 1 << 2;
    private static final int UNKNOWN_REVISION = 1 << 3;
    private static final int CAPABILITIES_MASKED = 1 << 4;

    private static final int DEVICES = 32;
    private static final int PINS = 4;
    private static final int ANY_FUNCTION = 0xffff;

    private PciRoot() {}

    static Aml.Term of(PciSegment pci) {
        return Aml.device(
                "PCI0",
                Aml.name("_HID", Aml.eisaId("PNP0A08")),
                Aml.name("_CID", Aml.eisaId("PNP0A03")),
                Aml.name("_UID", Aml.integer(0)),
                Aml.name("_SEG", Aml.integer(0)),
                Aml.name("_BBN", Aml.integer(0)),
                Aml.name("_CCA", Aml.integer(1)),
                Aml.name("_CRS", resources(pci)),
                Aml.name("_PRT", routing(pci)),
                osc());
    }

    private static Aml.Value resources(PciSegment pci) {
        var resources = new ArrayList<Resource>();
        resources.add(Resource.buses(pci.buses()));
        resources.add(Resource.io(PciConfigPorts.PORTS));
        pci.ports().stream().map(Resource::ioWindow).forEach(resources::add);
        pci.memory().stream().map(Resource::memoryWindow).forEach(resources::add);
        return Resource.template(resources.toArray(Resource[]::new));
    }

    /// Each pin of each device has an interrupt of its own number, without a router in between.
    private static Aml.Value routing(PciSegment pci) {
        var routes = new ArrayList<Aml.Value>();
        for (int device = 0; device < DEVICES; device++) {
            for (int pin = 0; pin < PINS; pin++) {
                routes.add(
                        Aml.packageOf(
                                Aml.integer((long) device << Short.SIZE | ANY_FUNCTION),
                                Aml.integer(pin),
                                Aml.integer(0),
                                Aml.integer(pci.gsi().applyAsInt(device, pin))));
            }
        }
        return Aml.packageOf(routes.toArray(Aml.Value[]::new));
    }

    /// Leaves to the operating system what it asks for, but for hot-plug by SHPC, which there is
    /// not.
    private static Aml.Term osc() {
        Aml.Value status = Aml.reference("CDW1");
        Aml.Value control = Aml.reference("CDW3");
        long granted =
                NATIVE_HOTPLUG | PME | ERROR_REPORTING | EXPRESS_CAPABILITY | LATENCY_TOLERANCE;
        return Aml.method(
                "_OSC",
                4,
                Aml.createDwordField(Aml.arg(3), 0, "CDW1"),
                Aml.ifTrue(
                        Aml.not(Aml.equal(Aml.arg(0), Aml.uuid(OSC_UUID))),
                        Aml.or(status, Aml.integer(UNKNOWN_UUID), status),
                        Aml.returns(Aml.arg(3))),
                Aml.createDwordField(Aml.arg(3), 8, "CDW3"),
                Aml.ifTrue(
                        Aml.not(Aml.equal(Aml.arg(1), Aml.integer(1))),
                        Aml.or(status, Aml.integer(UNKNOWN_REVISION), status)),
                Aml.and(control, Aml.integer(granted), Aml.local(0)),
                Aml.ifTrue(
                        Aml.not(Aml.equal(control, Aml.local(0))),
                        Aml.or(status, Aml.integer(CAPABILITIES_MASKED), status)),
                Aml.store(Aml.local(0), control),
                Aml.returns(Aml.arg(3)));
    }
}
