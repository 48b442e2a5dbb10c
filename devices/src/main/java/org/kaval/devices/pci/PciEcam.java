package org.kaval.devices.pci;

import org.kaval.devices.Device;

/// The enhanced configuration access mechanism (PCI Express 5.0 §7.2.2): the configuration space of
/// every function as memory.
///
/// | bits of the offset | what                |
/// |-------------------:|---------------------|
/// | 20-27              | bus                 |
/// | 15-19              | device              |
/// | 12-14              | function            |
/// | 0-11               | register            |
///
/// An access across two functions' space reads as ones and writes nothing.
public final class PciEcam implements Device {
    /// How much a bus takes.
    public static final long BYTES_PER_BUS = 1 << 20;

    private static final int BUS_SHIFT = 20;
    private static final int FUNCTION_SHIFT = 12;

    private final PciBus bus;

    public PciEcam(PciBus bus) {
        this.bus = bus;
    }

    @Override
    public long read(long offset, int size) {
        return bus.read(busOf(offset), functionOf(offset), registerOf(offset), size);
    }

    @Override
    public void write(long offset, int size, long value) {
        bus.write(busOf(offset), functionOf(offset), registerOf(offset), size, value);
    }

    @Override
    public String toString() {
        return "PCI ECAM";
    }

    private static int busOf(long offset) {
        return (int) (offset >> BUS_SHIFT);
    }

    private static int functionOf(long offset) {
        return (int) (offset >> FUNCTION_SHIFT) & 0xff;
    }

    private static int registerOf(long offset) {
        return (int) offset & (PciFunction.SIZE - 1);
    }
}
