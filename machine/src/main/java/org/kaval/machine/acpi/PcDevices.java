package org.kaval.machine.acpi;

import org.kaval.devices.platform.CmosRtc;
import org.kaval.devices.platform.I8042;
import org.kaval.devices.platform.PvPanic;
import org.kaval.devices.platform.Uart16550;
import org.kaval.devices.platform.VmGeneration;
import org.kaval.memory.GuestRange;

/// The devices of a PC's mainboard in AML, for the scope `\_SB`.
public final class PcDevices {
    private static final GuestRange KEYBOARD_DATA = new GuestRange(I8042.PORTS.base(), 1);
    private static final GuestRange KEYBOARD_COMMAND = new GuestRange(I8042.PORTS.end() - 1, 1);

    private static final String GENERATION = "VGEN";
    private static final int DEVICE_EVENT = 0x80;

    private PcDevices() {}

    /// The first serial port.
    public static Aml.Term com1() {
        return Aml.device(
                "COM1",
                Aml.name("_HID", Aml.eisaId("PNP0501")),
                Aml.name("_UID", Aml.integer(1)),
                resources(Resource.io(Uart16550.COM1), Resource.irq(Uart16550.COM1_IRQ)));
    }

    /// The real-time clock.
    public static Aml.Term rtc() {
        return Aml.device(
                "RTC0",
                Aml.name("_HID", Aml.eisaId("PNP0B00")),
                resources(Resource.io(CmosRtc.PORTS), Resource.irq(CmosRtc.IRQ)));
    }

    /// The keyboard; without a device for it, Linux does not look for a mouse either.
    public static Aml.Term keyboard() {
        return Aml.device(
                "KBD0",
                Aml.name("_HID", Aml.eisaId("PNP0303")),
                resources(
                        Resource.io(KEYBOARD_DATA),
                        Resource.io(KEYBOARD_COMMAND),
                        Resource.irq(I8042.KEYBOARD_IRQ)));
    }

    /// The panic notifier.
    public static Aml.Term panicNotifier() {
        return Aml.device(
                "PEVT",
                Aml.name("_HID", Aml.string("QEMU0001")),
                resources(Resource.io(PvPanic.PORTS)));
    }

    /// The generation of the machine.
    public static Aml.Term generation() {
        return Aml.device(
                GENERATION,
                Aml.name("_HID", Aml.string("KAVL0001")),
                Aml.name("_CID", Aml.string("VM_Gen_Counter")),
                Aml.name("_DDN", Aml.string("VM_Gen_Counter")),
                Aml.name(
                        "ADDR",
                        Aml.packageOf(
                                Aml.integer(VmGeneration.AREA.base()), // and its upper half
                                Aml.integer(0))));
    }

    /// What tells the system that the generation has changed: a generic event device (ACPI 6.5
    /// §5.6.9).
    public static Aml.Term generationEvent() {
        return Aml.device(
                "GED0",
                Aml.name("_HID", Aml.string("ACPI0013")),
                Aml.name("_UID", Aml.integer(0)),
                resources(Resource.interrupt(VmGeneration.IRQ)),
                Aml.method("_EVT", 1, Aml.notify("\\_SB." + GENERATION, DEVICE_EVENT)));
    }

    private static Aml.Term resources(Resource... resources) {
        return Aml.name("_CRS", Resource.template(resources));
    }
}
