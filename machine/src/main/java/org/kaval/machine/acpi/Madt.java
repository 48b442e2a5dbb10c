package org.kaval.machine.acpi;

import java.util.List;
import org.kaval.devices.platform.AcpiPm;

/// Multiple APIC description table (ACPI 6.5 §5.2.12): the interrupt controllers, which are KVM's.
///
/// ISA interrupts have the IOAPIC's pin of their number, the timer too: that is how KVM wires them,
/// and what the table means where it says nothing.
final class Madt {
    private static final int REVISION = 5;
    private static final long LOCAL_APIC = 0xfee0_0000L;
    private static final long IOAPIC = 0xfec0_0000L;
    private static final int PCAT_COMPAT = 1; // there are two 8259, too

    private static final int TYPE_LOCAL_APIC = 0;
    private static final int TYPE_IOAPIC = 1;
    private static final int TYPE_OVERRIDE = 2;
    private static final int TYPE_LOCAL_NMI = 4;
    private static final int TYPE_X2APIC = 9;
    private static final int TYPE_X2APIC_NMI = 10;

    private static final int ENABLED = 1;
    private static final int ALL_PROCESSORS = 0xff;
    private static final int FIRST_X2APIC_ID = 0xff;
    private static final int LINT1 = 1;
    private static final int ISA = 0;
    private static final int ACTIVE_HIGH_LEVEL = 1 | 3 << 2;

    private Madt() {}

    static AcpiTable of(List<Integer> apicIds) {
        var body = new TableBytes().u32(LOCAL_APIC).u32(PCAT_COMPAT);
        for (int uid = 0; uid < apicIds.size(); uid++) {
            processor(body, uid, apicIds.get(uid));
        }
        body.u8(TYPE_IOAPIC).u8(12).u8(0).u8(0).u32(IOAPIC).u32(0);
        body.u8(TYPE_OVERRIDE).u8(10).u8(ISA).u8(AcpiPm.SCI).u32(AcpiPm.SCI).u16(ACTIVE_HIGH_LEVEL);
        body.u8(TYPE_LOCAL_NMI).u8(6).u8(ALL_PROCESSORS).u16(0).u8(LINT1);
        if (apicIds.stream().anyMatch(id -> id >= FIRST_X2APIC_ID)) {
            body.u8(TYPE_X2APIC_NMI).u8(12).u16(0).u32(-1).u8(LINT1).zeros(3);
        }
        return AcpiTable.of("APIC", REVISION, body);
    }

    private static void processor(TableBytes body, int uid, int apicId) {
        if (apicId < FIRST_X2APIC_ID && uid < ALL_PROCESSORS) {
            body.u8(TYPE_LOCAL_APIC).u8(8).u8(uid).u8(apicId).u32(ENABLED);
        } else {
            body.u8(TYPE_X2APIC).u8(16).u16(0).u32(apicId).u32(ENABLED).u32(uid);
        }
    }
}
