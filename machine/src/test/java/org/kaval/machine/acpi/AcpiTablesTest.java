package org.kaval.machine.acpi;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.memory.GuestMemory;

class AcpiTablesTest {
    @TempDir private Path directory;

    private static ByteBuffer fields(byte[] table) {
        return ByteBuffer.wrap(table).order(ByteOrder.LITTLE_ENDIAN);
    }

    @Test
    void rootPointerIsFoundByItsSignatureAndSum() throws Exception {
        try (GuestMemory memory = Tables.memory()) {
            AcpiTables tables = AcpiTables.write(memory, Tables.hardware(1));
            byte[] rsdp = new byte[36];
            memory.read(tables.rsdp(), rsdp);

            assertEquals(0xe_0000, tables.rsdp());
            assertEquals("RSD PTR ", new String(rsdp, 0, 8, US_ASCII));
            assertEquals(0, Tables.sum(rsdp, 20));
            assertEquals(0, Tables.sum(rsdp, 36));
            assertEquals(2, rsdp[15]);
        }
    }

    @Test
    void tablesAreTheOnesThatThereShouldBe() throws Exception {
        assertEquals(
                Set.of("XSDT", "FACP", "FACS", "DSDT", "APIC", "MCFG"),
                Tables.of(Tables.hardware(1)).keySet());
    }

    @ParameterizedTest
    @ValueSource(strings = {"XSDT", "FACP", "DSDT", "APIC", "MCFG"})
    void sumOfATableIsZero(String signature) throws Exception {
        byte[] table = Tables.one(signature, Tables.hardware(3));

        assertEquals(0, Tables.sum(table, table.length));
    }

    @Test
    void tablesLieWithinTheRangeThatIsReserved() throws Exception {
        try (GuestMemory memory = Tables.memory()) {
            AcpiTables tables = AcpiTables.write(memory, Tables.hardware(255));

            assertTrue(AcpiTables.AREA.holds(tables.range().base(), tables.range().size()));
            assertEquals(0, tables.range().end() % 4096);
            assertTrue(
                    Tables.entries(memory, tables).stream()
                            .allMatch(address ->
                                    tables.range()
                                            .holds(address, Tables.table(memory, address).length)));
            byte[] behind = new byte[(int) (AcpiTables.AREA.end() - tables.range().end())];
            memory.read(tables.range().end(), behind);
            assertArrayEquals(new byte[behind.length], behind);
        }
    }

    @Test
    void devicesThatDoNotFitAreRefused() throws Exception {
        var hardware =
                new AcpiHardware(
                        List.of(0),
                        Tables.PCI,
                        List.of(Aml.name("HUGE", Aml.buffer(new byte[130_000]))));
        try (GuestMemory memory = Tables.memory()) {
            var refused =
                    assertThrows(
                            IllegalArgumentException.class,
                            () -> AcpiTables.write(memory, hardware));

            assertTrue(String.valueOf(refused.getMessage()).startsWith("no room for"));
        }
    }

    @Test
    void fixedTablePointsToTheRegisters() throws Exception {
        byte[] fadt = Tables.one("FACP", Tables.hardware(1));
        ByteBuffer fields = fields(fadt);

        assertEquals(276, fadt.length);
        assertEquals(6, fadt[8]);
        assertEquals(9, fields.getShort(46)); // SCI_INT
        assertEquals(0, fields.getInt(48)); // SMI_CMD
        assertEquals(0x600, fields.getInt(56)); // PM1a_EVT
        assertEquals(0x604, fields.getInt(64)); // PM1a_CNT
        assertEquals(0x608, fields.getInt(76)); // PM_TMR
        assertEquals(0x32, fadt[108]); // CENTURY
        assertEquals(0x7, fields.getShort(109)); // legacy devices, 8042, no VGA
        assertEquals(0x565, fields.getInt(112)); // flags
        assertEquals(0xcf9, fields.getLong(120)); // RESET_REG
        assertEquals(6, fadt[128]); // RESET_VALUE
        assertEquals(fields.getInt(40), fields.getLong(140)); // DSDT
        assertEquals(0x608, fields.getLong(212)); // X_PM_TMR
    }

    @Test
    void interruptTableHasAProcessorEach() throws Exception {
        var hardware = new AcpiHardware(List.of(0, 1, 4, 254), Tables.PCI, List.of());
        ByteBuffer madt = fields(Tables.one("APIC", hardware));

        assertEquals(0x0000_0800L | 2L << 16 | 4L << 24 | 1L << 32, madt.getLong(44 + 16));
        assertEquals(0x0000_0800L | 3L << 16 | 254L << 24 | 1L << 32, madt.getLong(44 + 24));
        assertEquals(0x0c01, madt.getShort(44 + 32)); // the IOAPIC follows
        assertEquals(0xfec0_0000, madt.getInt(44 + 36));
    }

    @Test
    void processorsBeyondEightBitsAreX2Apics() throws Exception {
        var hardware = new AcpiHardware(List.of(254, 255, 300), Tables.PCI, List.of());
        ByteBuffer madt = fields(Tables.one("APIC", hardware));

        assertEquals(0x0800, madt.getShort(44));
        assertEquals(0x1009, madt.getShort(52));
        assertEquals(255, madt.getInt(56));
        assertEquals(1, madt.getInt(64)); // its number
        assertEquals(300, madt.getInt(72));
    }

    @Test
    void configurationSpaceIsWhereTheHardwareHasIt() throws Exception {
        byte[] mcfg = Tables.one("MCFG", Tables.hardware(1));

        assertEquals(60, mcfg.length);
        assertEquals(0xe000_0000L, fields(mcfg).getLong(44));
        assertEquals(0xff, mcfg[55] & 0xff);
    }

    @ParameterizedTest
    @CsvSource({"FACP, 1", "APIC, 1", "APIC, 255", "MCFG, 1", "XSDT, 1", "DSDT, 1", "DSDT, 255"})
    void tableIsTheSameWhenItIsDisassembledAndCompiled(String signature, int cpus)
            throws Exception {
        byte[] table = Tables.one(signature, Tables.hardware(cpus));
        var acpica = new Acpica(directory);

        acpica.disassemble(signature, table);
        byte[] again = acpica.compile(signature);

        // in the header: the sum, and who made it
        assertArrayEquals(Arrays.copyOf(table, 8), Arrays.copyOf(again, 8));
        assertArrayEquals(
                Arrays.copyOfRange(table, AcpiTable.HEADER_SIZE, table.length),
                Arrays.copyOfRange(again, AcpiTable.HEADER_SIZE, again.length));
    }

    @Test
    void facsIsDisassembled() throws Exception {
        byte[] facs = Tables.one("FACS", Tables.hardware(1));

        String source = new Acpica(directory).disassemble("FACS", facs);

        assertEquals(64, facs.length);
        assertTrue(source.contains("Version : 02"), source);
    }

    private String execute(String command) throws Exception {
        byte[] dsdt = Tables.one("DSDT", Tables.hardware(2));
        return new Acpica(directory).execute(dsdt, command);
    }

    @Test
    void interpreterLoadsAllDevices() throws Exception {
        // the root bridge, the mainboard, three of the mainboard's, and two processors
        assertTrue(execute("namespace").contains("31 Objects with   7 Devices"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "PCI0 | Address Maximum : 00FF", // buses
                "PCI0 | Address Minimum : 0CF8",
                "PCI0 | Address Maximum : 0CF7",
                "PCI0 | Address Maximum : DFFFFFFF",
                "PCI0 | Address Maximum : 0000001FFFFFFFFF",
                "PCI0 | Source Index : 00000017", // the highest interrupt of _PRT
                "MBRD | Address : E0000000",
                "MBRD | Address Minimum : 0600",
                "COM1 | Address Minimum : 03F8",
                "COM1 | Interrupt List : 4",
                "RTC0 | Address Minimum : 0070",
                "RTC0 | Interrupt List : 8",
                "KBD0 | Address Minimum : 0064",
                "KBD0 | Interrupt List : 1",
            })
    void interpreterFindsTheResources(String device, String resource) throws Exception {
        String output = execute("resources \\_SB." + device);

        assertTrue(output.replaceAll(" +", " ").contains(resource), output);
    }

    @Test
    void interpreterFindsOutHowToPowerOff() throws Exception {
        String output = execute("execute \\_S5");

        assertTrue(output.contains("[Integer] = 0000000000000005"), output);
    }

    /// Of 0x1f, which has SHPC among it, all else is granted; a revision that there is not, and
    /// another UUID, are said to be unknown.
    @ParameterizedTest
    @CsvSource({
        "5B, 1, 1D, 00 00 00 00 1F 00 00 00 1D",
        "5B, 1, 1F, 10 00 00 00 1F 00 00 00 1D",
        "5B, 2, 1D, 08 00 00 00 1F 00 00 00 1D",
        "5C, 1, 1F, 04 00 00 00 1F 00 00 00 1F",
    })
    void operatingSystemGetsControlOfPciExpress(
            String firstOfUuid, int revision, String asked, String answer) throws Exception {
        String output =
                execute(
                        "execute \\_SB.PCI0._OSC (%s 4D DB 33 F7 1F 1C 40 96 57 74 41 C0 3D D7 66) %d 3 (00 00 00 00 1F 00 00 00 %s 00 00 00)"
                                .formatted(firstOfUuid, revision, asked));

        assertTrue(output.contains("0000: " + answer + " 00 00 00"), output);
    }
}
