package org.kaval.machine.acpi;

import org.kaval.devices.platform.CmosRtc;
import org.kaval.devices.platform.I8042;
import org.kaval.devices.platform.Uart16550;
import org.kaval.memory.GuestRange;

/// The devices of a PC's mainboard in AML, for the scope `\_SB`.
public final class PcDevices {
    private static final GuestRange KEYBOARD_DATA = new GuestRange(I8042.PORTS.base(), 1);
    private static final GuestRange KEYBOARD_COMMAND = new GuestRange(I8042.PORTS.end() - 1, 1);

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

    private static Aml.Term resources(Resource... resources) {
        return Aml.name("_CRS", Resource.template(resources));
    }
}
