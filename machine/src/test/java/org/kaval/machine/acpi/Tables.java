package org.kaval.machine.acpi;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.kaval.devices.pci.PciBus;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// Tables that a guest finds by following the pointers from the RSDP.
final class Tables {
    static final PciSegment PCI =
            new PciSegment(
                    new GuestRange(0xe000_0000L, 0x1000_0000),
                    List.of(new GuestRange(0, 0xcf8), new GuestRange(0xd00, 0xf300)),
                    List.of(
                            new GuestRange(0xc000_0000L, 0x2000_0000),
                            new GuestRange(0x10_0000_0000L, 0x10_0000_0000L)),
                    PciBus::gsi);

    private Tables() {}

    static AcpiHardware hardware(int cpus) {
        return new AcpiHardware(
                IntStream.range(0, cpus).boxed().toList(),
                PCI,
                List.of(PcDevices.com1(), PcDevices.rtc(), PcDevices.keyboard()));
    }

    static GuestMemory memory() throws Exception {
        return GuestMemory.allocate(List.of(new GuestRange(0, 1 << 20)), Backing.anonymous());
    }

    /// All tables with a header, by signature, and the FACS.
    static Map<String, byte[]> of(AcpiHardware hardware) throws Exception {
        try (GuestMemory memory = memory()) {
            AcpiTables tables = AcpiTables.write(memory, hardware);
            var found = new TreeMap<String, byte[]>();
            byte[] xsdt = table(memory, memory.readLe64(tables.rsdp() + 24));
            found.put("XSDT", xsdt);
            for (long address : entries(memory, tables)) {
                byte[] table = table(memory, address);
                found.put(signature(table), table);
                if (signature(table).equals("FACP")) {
                    found.put("FACS", table(memory, memory.readLe32(address + 36)));
                    found.put("DSDT", table(memory, memory.readLe64(address + 140)));
                }
            }
            return found;
        }
    }

    /// The table of that signature.
    static byte[] one(String signature, AcpiHardware hardware) throws Exception {
        return Objects.requireNonNull(of(hardware).get(signature));
    }

    static List<Long> entries(GuestMemory memory, AcpiTables tables) {
        long xsdt = memory.readLe64(tables.rsdp() + 24);
        int count = (memory.readLe32(xsdt + 4) - AcpiTable.HEADER_SIZE) / Long.BYTES;
        var addresses = new ArrayList<Long>();
        for (int i = 0; i < count; i++) {
            addresses.add(memory.readLe64(xsdt + AcpiTable.HEADER_SIZE + i * (long) Long.BYTES));
        }
        return addresses;
    }

    static byte[] table(GuestMemory memory, long address) {
        byte[] bytes = new byte[memory.readLe32(address + 4)];
        memory.read(address, bytes);
        return bytes;
    }

    static String signature(byte[] table) {
        return new String(table, 0, 4, StandardCharsets.US_ASCII);
    }

    static int sum(byte[] bytes, int length) {
        return IntStream.range(0, length).map(i -> bytes[i]).sum() & 0xff;
    }
}
