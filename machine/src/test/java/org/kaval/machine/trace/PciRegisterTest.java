package org.kaval.machine.trace;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PciRegisterTest {
    /// PCI 3.0 §6.1, figure 6-1.
    @ParameterizedTest
    @CsvSource({
        "0x00, vendor",
        "0x02, device",
        "0x04, command",
        "0x06, status",
        "0x08, revision",
        "0x09, class",
        "0x0c, cache line size",
        "0x0e, header type",
        "0x10, BAR 0",
        "0x13, BAR 0",
        "0x24, BAR 5",
        "0x28, register 0x28",
        "0x2c, subsystem vendor",
        "0x2e, subsystem",
        "0x30, expansion ROM",
        "0x34, capabilities",
        "0x3c, interrupt line",
        "0x3d, interrupt pin",
        "0x40, capability at 0x40",
        "0x43, capability at 0x40",
        "0x100, extended configuration 0x100"
    })
    void registersHaveTheirNames(int offset, String name) {
        assertEquals(name, PciRegister.name(offset));
    }
}
