package org.kaval.devices.pci;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.devices.Bus;
import org.kaval.devices.LevelLine;

class PciConfigPortsTest {
    private static final int ADDRESS = 0;
    private static final int RESET = 1;
    private static final int DATA = 4;

    private int restarts;
    private final PciBus bus =
            new PciBus(new Bus("port"), List.of(), new Bus("mmio"), List.of(), _ -> LevelLine.NONE);
    private final PciConfigPorts ports = new PciConfigPorts(bus, () -> restarts++);

    PciConfigPortsTest() {
        bus.add(0, 0, PciHostBridge.create(0xe000_0000L));
        bus.add(5, 3, new PciFunction(new PciIdentity(0x1111, 0x2222, 0, 0, 0, 0)));
    }

    private void address(long value) {
        ports.write(ADDRESS, 4, value);
    }

    @Test
    void registerIsReachedByAddressAndData() {
        address(0x8000_0000L);

        assertEquals(0x29c0_8086L, ports.read(DATA, 4));
        assertEquals(0x29c0, ports.read(DATA + 2, 2));
        assertEquals(0x80, ports.read(DATA + 1, 1));
    }

    @Test
    void deviceAndFunctionAreInTheAddress() {
        address(0x8000_2b00L);

        assertEquals(0x2222_1111L, ports.read(DATA, 4));
    }

    @Test
    void dataIsWritten() {
        address(0x8000_2b3cL);

        ports.write(DATA, 1, 0x0b);

        assertEquals(0x0b, ports.read(DATA, 4));
    }

    @ParameterizedTest
    @CsvSource({"0x80000800", "0x80010000", "0x80ff0000"})
    void whereThereIsNoFunctionItReadsAsOnes(long address) {
        address(address);

        ports.write(DATA, 4, 0);

        assertEquals(-1, ports.read(DATA, 4));
    }

    @Test
    void withoutTheEnableBitThereIsNoData() {
        address(0);

        ports.write(DATA, 4, 0);

        assertEquals(-1, ports.read(DATA, 4));
    }

    @Test
    void addressIsReadBackWithTheBitsThatThereAre() {
        address(0xffff_ffffL);

        assertEquals(0x80ff_fffcL, ports.read(ADDRESS, 4));
    }

    /// Linux writes a byte to 0xcfb before it looks for this mechanism.
    @Test
    void narrowAccessesToTheAddressAreIgnored() {
        address(0x8000_0000L);

        ports.write(3, 1, 1);
        ports.write(0, 2, 0x1234);
        ports.write(0, 1, 0xff);

        assertEquals(0x8000_0000L, ports.read(ADDRESS, 4));
        assertEquals(-1, ports.read(0, 2));
        assertEquals(-1, ports.read(3, 1));
    }

    @Test
    void resetControlRestarts() {
        ports.write(RESET, 1, 6);

        assertEquals(1, restarts);
    }

    @Test
    void resetInTwoStepsRestartsOnce() {
        ports.write(RESET, 1, 2);
        assertEquals(0, restarts);

        ports.write(RESET, 1, 6);
        ports.write(RESET, 1, 6);

        assertEquals(1, restarts);
        assertEquals(6, ports.read(RESET, 1));
    }

    @Test
    void resetControlDoesNotDisturbTheAddress() {
        address(0x8000_2b00L);

        ports.write(RESET, 1, 2);

        assertEquals(0x8000_2b00L, ports.read(ADDRESS, 4));
        assertEquals(2, ports.read(RESET, 1));
    }

    @Test
    void addressDoesNotRestart() {
        address(0xffff_ffffL);

        assertEquals(0, restarts);
    }
}
