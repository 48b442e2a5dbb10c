package org.kaval.devices.platform;

import org.kaval.devices.Device;
import org.kaval.memory.GuestRange;

/// The PM1a control register (ACPI 6.5 §4.8.3.2.1), by which a guest powers its machine off.
///
/// | bits  | name    | read | write                          |
/// |------:|---------|------|--------------------------------|
/// |     0 | SCI_EN  | 1    | ignored: always in ACPI mode   |
/// | 10-12 | SLP_TYP | 0    | which sleeping state           |
/// |    13 | SLP_EN  | 0    | enters it: {@link #SLP_TYP_S5} is power-off |
///
/// Any thread.
public final class AcpiPm1Control implements Device {
    /// Where it is.
    public static final GuestRange PORTS = new GuestRange(0x604, 2);

    /// What the guest writes to SLP_TYP to power off; ACPI leaves the value to the machine.
    public static final int SLP_TYP_S5 = 5;

    private static final int SCI_EN = 1;
    private static final int SLP_TYP_SHIFT = 10;
    private static final int SLP_TYP_MASK = 7;
    private static final int SLP_EN = 1 << 13;

    private final Runnable powerOff;

    /// @param powerOff is called on the vCPU's thread
    public AcpiPm1Control(Runnable powerOff) {
        this.powerOff = powerOff;
    }

    @Override
    public long read(long offset, int size) {
        return offset == 0 ? SCI_EN : 0;
    }

    @Override
    public void write(long offset, int size, long value) {
        long register = value << (offset * Byte.SIZE);
        if ((register & SLP_EN) != 0 && (register >> SLP_TYP_SHIFT & SLP_TYP_MASK) == SLP_TYP_S5) {
            powerOff.run();
        }
    }

    @Override
    public String toString() {
        return "ACPI PM1 control";
    }
}
