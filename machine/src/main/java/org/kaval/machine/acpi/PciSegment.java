package org.kaval.machine.acpi;

import java.util.List;
import java.util.function.IntBinaryOperator;
import org.kaval.memory.GuestRange;

/// The PCI segment of a machine.
///
/// @param ecam where the configuration space of all buses is: 1 MiB each, from bus 0
/// @param ports what the host bridge passes on
/// @param memory what it passes on; each range is below 4 GiB or above
/// @param gsi the interrupt of a device on bus 0 and one of its pins: 0 to 31, and 0 (INTA) to 3
public record PciSegment(
        GuestRange ecam, List<GuestRange> ports, List<GuestRange> memory, IntBinaryOperator gsi) {
    private static final int BUS_SHIFT = 20;
    private static final int MAX_BUSES = 256;

    public PciSegment {
        long size = ecam.size();
        if (size % (1 << BUS_SHIFT) != 0 || size >> BUS_SHIFT > MAX_BUSES) {
            throw new IllegalArgumentException("no configuration space of whole buses: " + ecam);
        }
        ports = List.copyOf(ports);
        memory = List.copyOf(memory);
    }

    /// How many buses it has.
    public int buses() {
        return (int) (ecam.size() >> BUS_SHIFT);
    }
}
