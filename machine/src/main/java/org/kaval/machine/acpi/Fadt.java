package org.kaval.machine.acpi;

import org.kaval.devices.pci.PciConfigPorts;
import org.kaval.devices.platform.AcpiPm;
import org.kaval.devices.platform.CmosRtc;
import org.kaval.memory.GuestRange;

/// Fixed ACPI description table (ACPI 6.5 §5.2.9): where the registers are that have no driver.
///
/// There is no SMI command port: the machine is always in ACPI mode. There are no general-purpose
/// events, and no sleeping states but S5.
final class Fadt {
    private static final int REVISION = 6;
    private static final int MINOR_REVISION = 5;

    /// §5.2.9: a C2 latency above 100 µs and a C3 latency above 1000 µs say that there are none.
    private static final int NO_C2 = 101;

    private static final int NO_C3 = 1001;

    // §5.2.9.3, IAPC_BOOT_ARCH
    private static final int LEGACY_DEVICES = 1;
    private static final int HAS_8042 = 1 << 1;
    private static final int NO_VGA = 1 << 2;

    // §5.2.9, fixed feature flags
    private static final int WBINVD = 1;
    private static final int PROC_C1 = 1 << 2;
    private static final int NO_FIXED_SLEEP_BUTTON = 1 << 5;
    private static final int NO_FIXED_RTC_WAKE = 1 << 6;
    private static final int TMR_VAL_EXT = 1 << 8;
    private static final int RESET_REG_SUP = 1 << 10;

    private static final int IO = 1;
    private static final int ACCESS_BYTE = 1;
    private static final int ACCESS_WORD = 2;
    private static final int ACCESS_DWORD = 3;

    private Fadt() {}

    /// @param facs guest-physical address, below 4 GiB
    /// @param dsdt guest-physical address, below 4 GiB
    static AcpiTable of(long facs, long dsdt) {
        var body = new TableBytes();
        oldPart(body, facs, dsdt);
        newPart(body, dsdt);
        return AcpiTable.of("FACP", REVISION, body);
    }

    /// What is as in ACPI 1.0, and up to the reset register.
    private static void oldPart(TableBytes body, long facs, long dsdt) {
        body.u32(facs).u32(dsdt);
        body.u8(0).u8(0); // reserved; preferred profile: none
        body.u16(AcpiPm.SCI);
        body.u32(0).u8(0).u8(0).u8(0).u8(0); // SMI_CMD, ACPI_ENABLE, ACPI_DISABLE, S4BIOS, PSTATE
        body.u32(AcpiPm.EVENT_BLOCK.base()).u32(0);
        body.u32(AcpiPm.CONTROL_BLOCK.base()).u32(0);
        body.u32(0); // PM2_CNT
        body.u32(AcpiPm.TIMER_BLOCK.base());
        body.u32(0).u32(0); // GPE0, GPE1
        body.u8((int) AcpiPm.EVENT_BLOCK.size());
        body.u8((int) AcpiPm.CONTROL_BLOCK.size());
        body.u8(0); // PM2_CNT
        body.u8((int) AcpiPm.TIMER_BLOCK.size());
        body.u8(0).u8(0).u8(0); // GPE0, GPE1, base of GPE1
        body.u8(0); // C-states
        body.u16(NO_C2).u16(NO_C3);
        body.u16(0).u16(0).u8(0).u8(0); // cache flushing, duty cycle: WBINVD does it
        body.u8(0).u8(0).u8(CmosRtc.CENTURY); // alarm of a day, of a month: none
        body.u16(LEGACY_DEVICES | HAS_8042 | NO_VGA);
        body.u8(0);
        body.u32(
                WBINVD
                        | PROC_C1
                        | NO_FIXED_SLEEP_BUTTON
                        | NO_FIXED_RTC_WAKE
                        | TMR_VAL_EXT
                        | RESET_REG_SUP);
    }

    private static void newPart(TableBytes body, long dsdt) {
        register(body, PciConfigPorts.RESET_CONTROL, ACCESS_BYTE);
        body.u8(PciConfigPorts.RESET);
        body.u16(0).u8(MINOR_REVISION); // ARM's flags
        body.u64(0); // FACS: not where the 32-bit field has one (§5.2.9)
        body.u64(dsdt);
        register(body, AcpiPm.EVENT_BLOCK, ACCESS_WORD);
        noRegister(body);
        register(body, AcpiPm.CONTROL_BLOCK, ACCESS_WORD);
        noRegister(body);
        noRegister(body); // PM2_CNT
        register(body, AcpiPm.TIMER_BLOCK, ACCESS_DWORD);
        noRegister(body); // GPE0
        noRegister(body); // GPE1
        noRegister(body); // sleep control
        noRegister(body); // sleep status
        body.text("KAVAL", Long.BYTES, '\0'); // hypervisor
    }

    /// A generic address (§5.2.3.2).
    private static void register(TableBytes body, GuestRange ports, int access) {
        int bits = (int) ports.size() * Byte.SIZE;
        body.u8(IO).u8(bits).u8(0).u8(access).u64(ports.base());
    }

    private static void noRegister(TableBytes body) {
        body.zeros(12);
    }
}
