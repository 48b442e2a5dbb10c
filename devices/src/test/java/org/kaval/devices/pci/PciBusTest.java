package org.kaval.devices.pci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.Bus;
import org.kaval.devices.Device;
import org.kaval.devices.LevelLine;
import org.kaval.memory.GuestRange;

class PciBusTest {
    private static final GuestRange PORTS = new GuestRange(0xd00, 0xf300);
    private static final GuestRange LOW = new GuestRange(0xc000_0000L, 0x2000_0000);
    private static final GuestRange HIGH = new GuestRange(0x10_0000_0000L, 0x10_0000_0000L);

    private static final PciIdentity IDENTITY =
            new PciIdentity(0x1234, 0x5678, 9, 0x02_0000, 0xabcd, 0xef01);

    private static final int COMMAND = 4;
    private static final int STATUS = 6;
    private static final int BAR0 = 0x10;
    private static final int MEMORY = 2;
    private static final int IO = 1;

    private final Bus ports = new Bus("port");
    private final Bus mmio = new Bus("mmio");
    private final TreeMap<Integer, Boolean> levels = new TreeMap<>();
    private final PciBus pci =
            new PciBus(ports, List.of(PORTS), mmio, List.of(LOW, HIGH), this::line);
    private final PciEcam ecam = new PciEcam(pci);
    private final PciFunction function = new PciFunction(IDENTITY);

    private LevelLine line(int gsi) {
        return high -> levels.put(gsi, high);
    }

    /// Reads as its number, and the offset.
    private record Numbered(int number) implements Device {
        @Override
        public long read(long offset, int size) {
            return number + offset;
        }

        @Override
        public void write(long offset, int size, long value) {}
    }

    /// Notes where its BAR is.
    private static final class Noting implements PciBar.Placement {
        private final List<String> events = new ArrayList<>();

        @Override
        public void placed(GuestRange range) {
            events.add("placed " + range);
        }

        @Override
        public void removed(GuestRange range) {
            events.add("removed " + range);
        }
    }

    private static PciBar memory32(long size, int number) {
        return new PciBar(PciBar.Kind.MEMORY_32, size, new Numbered(number));
    }

    private static long at(int device, int register) {
        return (long) device << 15 | register;
    }

    private int read32(int device, int register) {
        return (int) ecam.read(at(device, register), 4);
    }

    private void write(int device, int register, int size, long value) {
        ecam.write(at(device, register), size, value);
    }

    @Test
    void identityIsInTheHeader() {
        pci.add(3, 0, function);

        assertEquals(0x5678_1234, read32(3, 0));
        assertEquals(0x0200_0009, read32(3, 8));
        assertEquals(0xef01_abcd, read32(3, 0x2c));
        assertEquals(0x78, ecam.read(at(3, 2), 1));
        assertEquals(0x5678_1234L, ecam.read(at(3, 0), 8) & 0xffff_ffffL);
    }

    @ParameterizedTest
    @ValueSource(longs = {0x2000, 0x7000, 0xf_f000, 0x10_0000, 0xfff_f000})
    void whereThereIsNoFunctionItReadsAsOnes(long offset) {
        pci.add(0, 0, function);

        ecam.write(offset, 4, 0);

        assertEquals(-1, ecam.read(offset, 4));
    }

    @Test
    void accessAcrossTwoFunctionsReadsAsOnes() {
        pci.add(0, 0, function);
        pci.add(0, 1, new PciFunction(IDENTITY));

        assertEquals(-1, ecam.read(0xffe, 4));
        assertEquals(0, ecam.read(0xffc, 4));
    }

    @Test
    void readOnlyRegistersStayAsTheyAre() {
        pci.add(0, 0, function);

        write(0, 0, 4, 0);
        write(0, 8, 8, -1);
        write(0, 0x2c, 4, 0);

        assertEquals(0x5678_1234, read32(0, 0));
        assertEquals(0x0200_0009, read32(0, 8));
        assertEquals(0x0000_00ff, read32(0, 0xc)); // the cache line size alone is kept
        assertEquals(0xef01_abcd, read32(0, 0x2c));
    }

    @Test
    void commandHasTheBitsThatThereAre() {
        pci.add(0, 0, function);

        write(0, COMMAND, 4, -1);

        assertEquals(0x547, read32(0, COMMAND));
    }

    @Test
    void functionsBesideTheFirstMakeADeviceOfSeveral() {
        pci.add(2, 0, function);
        assertEquals(0, ecam.read(at(2, 0xe), 1));

        pci.add(2, 7, new PciFunction(IDENTITY));

        assertEquals(0x80, ecam.read(at(2, 0xe), 1));
    }

    @Test
    void functionsGetTheNextFreeDevice() {
        pci.add(0, 0, new PciFunction(IDENTITY));
        pci.add(1, 0, new PciFunction(IDENTITY));

        assertEquals(2 << 3, pci.add(function));
    }

    @Test
    void moreFunctionsThanDevicesShareThem() {
        pci.add(0, 0, PciHostBridge.create(0xe000_0000L));
        for (int i = 1; i < 32; i++) {
            assertEquals(i << 3, pci.add(new PciFunction(IDENTITY)));
        }
        assertEquals(0, ecam.read(at(1, 0xe), 1));

        assertEquals(1 << 3 | 1, pci.add(new PciFunction(IDENTITY)));
        for (int i = 1; i < 31 * 7; i++) {
            pci.add(new PciFunction(IDENTITY));
        }

        assertEquals(0x80, ecam.read(at(1, 0xe), 1));
        assertEquals(0x1234, ecam.read(at(31, 0) | 7 << 12, 2));
        assertThrows(IllegalArgumentException.class, () -> pci.add(function));
    }

    @Test
    void functionCanBeTakenAwayAndComeBack() {
        function.addBar(0, memory32(0x1000, 0x100));
        LevelLine intx = function.interruptPin(1);
        int place = pci.add(function);
        write(0, COMMAND, 2, MEMORY);
        intx.set(true);

        pci.remove(place);

        assertEquals(-1, read32(0, 0));
        assertEquals(-1, mmio.read(0xc000_0000L, 4));
        assertEquals(false, levels.get(16));
        assertThrows(IllegalArgumentException.class, () -> pci.remove(place));
        pci.add(5, 0, function);
        assertEquals(0x5678_1234, read32(5, 0));
    }

    @Test
    void partOfTheSpaceCanBeAnsweredByADevice() {
        function.answer(0x80, 4, new Numbered(0x100));
        pci.add(0, 0, function);

        assertEquals(0x102, ecam.read(at(0, 0x82), 2));
        assertEquals(0, ecam.read(at(0, 0x7e), 4), "it is not all of the access");
    }

    @Test
    void placeIsGivenOnce() {
        pci.add(1, 2, function);

        assertThrows(
                IllegalArgumentException.class, () -> pci.add(1, 2, new PciFunction(IDENTITY)));
        assertThrows(IllegalStateException.class, () -> pci.add(1, 3, function));
        assertThrows(
                IllegalArgumentException.class, () -> pci.add(32, 0, new PciFunction(IDENTITY)));
    }

    @Test
    void barIsNotThereUntilTheGuestSwitchesItOn() {
        function.addBar(0, memory32(0x1000, 0x100));
        pci.add(1, 0, function);
        assertEquals(-1, mmio.read(0xc000_0000L, 4));

        write(1, COMMAND, 2, MEMORY);

        assertEquals(0x108, mmio.read(0xc000_0008L, 4));
        write(1, COMMAND, 2, 0);
        assertEquals(-1, mmio.read(0xc000_0000L, 4));
    }

    @Test
    void sizeOfABarIsReadBack() {
        function.addBar(0, memory32(0x4000, 0));
        function.addBar(1, new PciBar(PciBar.Kind.PORTS, 0x20, new Numbered(0)));
        function.addBar(2, new PciBar(PciBar.Kind.MEMORY_64, 1L << 33, new Numbered(0)));
        pci.add(1, 0, function);

        write(1, BAR0, 4, -1);
        write(1, BAR0 + 4, 4, -1);
        write(1, BAR0 + 8, 4, -1);
        write(1, BAR0 + 12, 4, -1);
        write(1, BAR0 + 16, 4, -1);

        assertEquals(0xffff_c000, read32(1, BAR0));
        assertEquals(0xffff_ffe1, read32(1, BAR0 + 4));
        assertEquals(0x0000_0004, read32(1, BAR0 + 8));
        assertEquals(0xffff_fffe, read32(1, BAR0 + 12));
        assertEquals(0, read32(1, BAR0 + 16));
    }

    @Test
    void barsHavePlacesOfTheirOwnAtFirst() {
        function.addBar(0, memory32(0x1000, 1));
        function.addBar(1, memory32(0x10_0000, 2));
        function.addBar(2, new PciBar(PciBar.Kind.MEMORY_64, 0x2000, new Numbered(3)));
        function.addBar(4, new PciBar(PciBar.Kind.MEMORY_64, 1 << 25, new Numbered(4)));
        var other = new PciFunction(IDENTITY);
        other.addBar(0, new PciBar(PciBar.Kind.PORTS, 0x40, new Numbered(5)));
        pci.add(1, 0, function);
        pci.add(2, 0, other);

        assertEquals(0xc000_0000, read32(1, BAR0));
        assertEquals(0xc010_0000, read32(1, BAR0 + 4));
        assertEquals(0xc020_0004, read32(1, BAR0 + 8));
        assertEquals(0x10_0000_0004L, ecam.read(at(1, BAR0 + 16), 8));
        assertEquals(0xd01, read32(2, BAR0));
    }

    @Test
    void barMovesWithItsRegister() {
        var noting = new Noting();
        function.addBar(0, new PciBar(PciBar.Kind.MEMORY_32, 0x1000, new Numbered(0x100), noting));
        pci.add(1, 0, function);
        write(1, COMMAND, 2, MEMORY);

        write(1, BAR0, 4, 0xd000_0fffL);

        assertEquals(-1, mmio.read(0xc000_0000L, 4));
        assertEquals(0x100, mmio.read(0xd000_0000L, 4));
        assertEquals(
                List.of(
                        "placed 0xc0000000-0xc0000fff",
                        "removed 0xc0000000-0xc0000fff",
                        "placed 0xd0000000-0xd0000fff"),
                noting.events);
    }

    @Test
    void barOf64BitsMovesAboveFourGib() {
        function.addBar(0, new PciBar(PciBar.Kind.MEMORY_64, 0x1000, new Numbered(0x100)));
        pci.add(1, 0, function);
        write(1, COMMAND, 2, MEMORY);

        write(1, BAR0, 4, 0x1000);
        write(1, BAR0 + 4, 4, 0x1f);

        assertEquals(0x104, mmio.read(0x1f_0000_1004L, 4));
    }

    @Test
    void portsMoveToo() {
        function.addBar(0, new PciBar(PciBar.Kind.PORTS, 0x20, new Numbered(0x100)));
        pci.add(1, 0, function);

        write(1, COMMAND, 2, IO);
        write(1, BAR0, 4, 0xe000);

        assertEquals(0x101, ports.read(0xe001, 1));
        assertEquals(-1, mmio.read(0xe001, 1));
    }

    @ParameterizedTest
    @CsvSource({
        "0x00000000, 0", // RAM
        "0xfee00000, 0", // the local APIC
        "0xfffff000, 0", // firmware
        "0xfffff000, 0xffffffff", // the highest address
        "0x00000000, 0x80000000", // negative
        "0xdffff000, 0xf0", // above the windows
    })
    void barOutsideTheWindowsAnswersNothingUntilItIsMovedBack(long low, long high) {
        function.addBar(0, new PciBar(PciBar.Kind.MEMORY_64, 0x1000, new Numbered(0x100)));
        pci.add(1, 0, function);
        write(1, COMMAND, 2, MEMORY);

        write(1, BAR0 + 4, 4, high);
        write(1, BAR0, 4, low);
        assertEquals(-1, mmio.read(high << 32 | low, 4));
        assertEquals(low | 4, ecam.read(at(1, BAR0), 4) & 0xffff_ffffL);
        write(1, BAR0 + 4, 4, 0);
        write(1, BAR0, 4, 0xd000_0000L);

        assertEquals(0x100, mmio.read(0xd000_0000L, 4));
    }

    @Test
    void barOverAnotherDeviceAnswersNothing() {
        mmio.add(new GuestRange(0xd000_0800L, 0x10), new Numbered(0x700));
        function.addBar(0, memory32(0x1000, 0x100));
        pci.add(1, 0, function);
        write(1, COMMAND, 2, MEMORY);

        write(1, BAR0, 4, 0xd000_0000L);

        assertEquals(-1, mmio.read(0xd000_0000L, 4));
        assertEquals(0x700, mmio.read(0xd000_0800L, 4));
        write(1, BAR0, 4, 0xd000_1000L);
        assertEquals(0x100, mmio.read(0xd000_1000L, 4));
    }

    @Test
    void barsOfAFunctionDoNotOverlap() {
        function.addBar(2, new PciBar(PciBar.Kind.MEMORY_64, 0x1000, new Numbered(0)));

        assertThrows(IllegalArgumentException.class, () -> function.addBar(3, memory32(0x1000, 0)));
        assertThrows(
                IllegalArgumentException.class,
                () ->
                        function.addBar(
                                1, new PciBar(PciBar.Kind.MEMORY_64, 0x1000, new Numbered(0))));
        assertThrows(
                IllegalArgumentException.class,
                () ->
                        function.addBar(
                                5, new PciBar(PciBar.Kind.MEMORY_64, 0x1000, new Numbered(0))));
    }

    @Test
    void barForWhichThereIsNoRoomIsRefused() {
        function.addBar(0, memory32(0x4000_0000, 0));

        assertThrows(IllegalArgumentException.class, () -> pci.add(1, 0, function));
    }

    @Test
    void capabilitiesAreAList() {
        int first = function.addCapability(0x11, new byte[] {1, 2, 3, 4, 5, 6}, new byte[6]);
        int second = function.addCapability(0x09, new byte[] {7}, new byte[] {0x0f});
        pci.add(0, 0, function);

        assertEquals(0x10, ecam.read(at(0, STATUS), 2));
        assertEquals(first, ecam.read(at(0, 0x34), 1));
        assertEquals(0x0201_0011L | (long) second << 8, ecam.read(at(0, first), 4));
        assertEquals(0x0007_0009, read32(0, second));
        write(0, second + 2, 1, 0xff);
        write(0, first + 2, 4, 0);
        assertEquals(0x0f, ecam.read(at(0, second + 2), 1));
        assertEquals(1, ecam.read(at(0, first + 2), 1));
    }

    @Test
    void capabilityForWhichThereIsNoRoomIsRefused() {
        function.addCapability(1, new byte[150], new byte[150]);

        assertThrows(
                IllegalArgumentException.class,
                () -> function.addCapability(1, new byte[50], new byte[50]));
    }

    @Test
    void deviceHearsOfWrites() {
        var heard = new ArrayList<Long>();
        int offset = function.addCapability(5, new byte[2], new byte[] {1, 0});
        function.onWrite(() -> heard.add(function.register(offset + 2, 1)));
        pci.add(0, 0, function);

        write(0, offset + 2, 2, 0xffff);

        assertEquals(List.of(1L), heard);
    }

    @Test
    void errorBitsOfTheStatusAreClearedByOnes() {
        pci.add(0, 0, function);
        function.setRegister(STATUS, 2, 0xf910);

        write(0, STATUS, 2, 0x8010);

        assertEquals(0x7910, ecam.read(at(0, STATUS), 2));
    }

    /// Neighbours' pins have different interrupts.
    @ParameterizedTest
    @CsvSource({"0, 1, 16", "1, 1, 17", "1, 2, 18", "5, 4, 16", "31, 1, 23"})
    void interruptPinLeadsToItsLine(int device, int pin, int gsi) {
        LevelLine intx = function.interruptPin(pin);
        pci.add(device, 0, function);

        intx.set(true);

        assertEquals(true, levels.get(gsi));
        assertEquals(pin, ecam.read(at(device, 0x3d), 1));
        assertEquals(8, ecam.read(at(device, STATUS), 2));
        intx.set(false);
        assertEquals(false, levels.get(gsi));
        assertEquals(0, ecam.read(at(device, STATUS), 2));
    }

    @Test
    void interruptPinCanBeSwitchedOff() {
        LevelLine intx = function.interruptPin(1);
        pci.add(0, 0, function);
        intx.set(true);

        write(0, COMMAND, 2, 1 << 10);
        assertEquals(false, levels.get(16));
        assertEquals(8, ecam.read(at(0, STATUS), 2));
        write(0, COMMAND, 2, 0);

        assertEquals(true, levels.get(16));
    }

    @Test
    void hostBridgeSaysWhereTheConfigurationSpaceIs() {
        pci.add(0, 0, PciHostBridge.create(0xe000_0000L));

        write(0, 0x60, 8, 0xb000_0001L);

        assertEquals(0x29c0_8086, read32(0, 0));
        assertEquals(0x0600_0000, read32(0, 8));
        assertEquals(0xe000_0001L, ecam.read(at(0, 0x60), 8));
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6})
    void anyTrafficIsTakenAndBarsStayInTheirWindows(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        var noting = new Noting();
        function.addBar(0, new PciBar(PciBar.Kind.MEMORY_32, 0x1000, new Numbered(0), noting));
        function.addBar(1, new PciBar(PciBar.Kind.PORTS, 0x10, new Numbered(0), noting));
        function.addBar(2, new PciBar(PciBar.Kind.MEMORY_64, 0x1000, new Numbered(0), noting));
        var other = new PciFunction(IDENTITY);
        other.addBar(0, new PciBar(PciBar.Kind.MEMORY_64, 0x8000, new Numbered(0), noting));
        pci.add(0, 0, function);
        pci.add(1, 0, other);
        long[] values = {0, -1, 0xc000_0000L, 0xdfff_f000L, 0x10, 0xff00, 7, random.nextLong()};
        for (int i = 0; i < 20_000; i++) {
            long offset = at(random.nextInt(3), random.nextInt(0x48));
            ecam.write(offset, 1 << random.nextInt(4), values[random.nextInt(values.length)]);
            ecam.read(offset, 1 << random.nextInt(4));
        }

        assertEquals(
                List.of(),
                noting.events.stream().filter(PciBusTest::isOutsideTheWindows).toList(),
                () -> "seed " + seed);
        assertEquals(0x5678_1234, read32(0, 0));
    }

    private static boolean isOutsideTheWindows(String event) {
        String[] ends = event.substring(event.indexOf(' ') + 1).split("-", 2);
        long base = Long.decode(ends[0]);
        long size = Long.decode(ends[1]) - base + 1;
        return !PORTS.holds(base, size) && !LOW.holds(base, size) && !HIGH.holds(base, size);
    }

    @Test
    void observerIsToldOfEveryAccess() {
        var told = new ArrayList<String>();
        pci.add(3, 1, function);
        pci.observe((write, bus, deviceFunction, offset, size, value) ->
                told.add(
                        "%b %d %d 0x%x %d 0x%x"
                                .formatted(write, bus, deviceFunction, offset, size, value)));

        ecam.read(25 << 12, 4);
        ecam.write(25 << 12 | COMMAND, 2, MEMORY);
        ecam.read(1 << 20, 2);

        assertEquals(
                List.of(
                        "false 0 25 0x0 4 0x56781234",
                        "true 0 25 0x4 2 0x2",
                        "false 1 0 0x0 2 0xffffffffffffffff"),
                told);
    }
}
