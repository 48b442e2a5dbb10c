package org.kaval.machine.acpi;

import java.util.ArrayList;
import java.util.List;
import org.kaval.devices.platform.VmGeneration;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// The ACPI tables of a machine in its memory.
///
/// ```
/// RSDP ── XSDT ─┬─ FADT ─┬─ FACS
///               ├─ MADT  └─ DSDT
///               └─ MCFG
/// ```
///
/// @param rsdp guest-physical address of the root pointer, for the boot protocol; systems that have
///   none look for its signature in 0xe0000 to 0xfffff, which is where it is
/// @param range what the tables take, whole pages; the memory map says that it is reserved
public record AcpiTables(long rsdp, GuestRange range) {
    /// Where they are, and as far as they may go (ACPI 6.5 §5.2.5.1).
    public static final GuestRange AREA =
            new GuestRange(0xe_0000, VmGeneration.AREA.base() - 0xe_0000);

    private static final int PAGE = 4096;
    private static final int ALIGNMENT = 64; // of the FACS (§5.2.10); others need less
    private static final int RSDP_SIZE = 36;
    private static final int RSDP_OLD_SIZE = 20;
    private static final int RSDP_CHECKSUM = 8;
    private static final int RSDP_EXTENDED_CHECKSUM = 32;
    private static final int FACS_SIZE = 64;
    private static final int FACS_VERSION = 2;

    /// Makes the tables, and puts them into memory.
    ///
    /// @throws IllegalArgumentException if the devices' AML is more than there is room for
    public static AcpiTables write(GuestMemory memory, AcpiHardware hardware) {
        var writer = new Writer(memory, AREA.base() + RSDP_SIZE);
        long facs = writer.put(facs());
        long dsdt = writer.put(Dsdt.of(hardware).toBytes());
        var addresses = new ArrayList<Long>();
        for (AcpiTable table : tables(hardware, facs, dsdt)) {
            addresses.add(writer.put(table.toBytes()));
        }
        long xsdt = writer.put(xsdt(addresses).toBytes());
        memory.write(AREA.base(), rsdp(xsdt));
        long pages = (writer.next - AREA.base() + PAGE - 1) / PAGE;
        return new AcpiTables(AREA.base(), new GuestRange(AREA.base(), pages * PAGE));
    }

    /// What the XSDT lists: a line each.
    private static List<AcpiTable> tables(AcpiHardware hardware, long facs, long dsdt) {
        return List.of(
                Fadt.of(facs, dsdt), //
                Madt.of(hardware.apicIds()),
                Mcfg.of(hardware.pci()));
    }

    /// §5.2.5.3.
    private static byte[] rsdp(long xsdt) {
        byte[] bytes =
                new TableBytes()
                        .text("RSD PTR ", 8, ' ')
                        .u8(0)
                        .text(AcpiTable.OEM_ID, 6, ' ')
                        .u8(2)
                        .u32(0) // no RSDT
                        .u32(RSDP_SIZE)
                        .u64(xsdt)
                        .u8(0)
                        .zeros(3)
                        .toBytes();
        AcpiTable.setChecksum(bytes, RSDP_CHECKSUM, RSDP_OLD_SIZE);
        AcpiTable.setChecksum(bytes, RSDP_EXTENDED_CHECKSUM, RSDP_SIZE);
        return bytes;
    }

    /// §5.2.8.
    private static AcpiTable xsdt(List<Long> tables) {
        var body = new TableBytes();
        tables.forEach(body::u64);
        return AcpiTable.of("XSDT", 1, body);
    }

    /// §5.2.10: nothing is shared with firmware, which there is not.
    private static byte[] facs() {
        return new TableBytes()
                .text("FACS", 4, ' ')
                .u32(FACS_SIZE)
                .zeros(24)
                .u8(FACS_VERSION)
                .zeros(31)
                .toBytes();
    }

    private static final class Writer {
        private final GuestMemory memory;
        private long next;

        Writer(GuestMemory memory, long next) {
            this.memory = memory;
            this.next = next;
        }

        /// @return where it is
        long put(byte[] table) {
            long address = (next + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
            if (table.length > AREA.end() - address) {
                throw new IllegalArgumentException(
                        "no room for the ACPI tables: 0x%x bytes at 0x%x, which must end at 0x%x"
                                .formatted(table.length, address, AREA.end()));
            }
            memory.write(address, table);
            next = address + table.length;
            return address;
        }
    }
}
