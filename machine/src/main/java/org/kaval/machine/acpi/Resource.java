package org.kaval.machine.acpi;

import org.kaval.memory.GuestRange;

/// Something that a device uses, or that a bus passes on: a resource descriptor (ACPI 6.5 §6.4).
public final class Resource {
    // §6.4.2: small items have their size in bits 0-2
    private static final int IRQ = 0x22;
    private static final int IO_PORT = 0x47;
    private static final int END = 0x79;

    // §6.4.3: large items have two bytes of size
    private static final int MEMORY_32_FIXED = 0x86;
    private static final int DWORD_ADDRESS = 0x87;
    private static final int WORD_ADDRESS = 0x88;
    private static final int EXTENDED_INTERRUPT = 0x89;
    private static final int QWORD_ADDRESS = 0x8a;

    private static final int DECODES_16_BITS = 1;
    private static final int READ_WRITE = 1;
    private static final int CONSUMER = 1;
    private static final int EDGE = 1 << 1;
    private static final int SHARED = 1 << 3;

    // §6.4.3.5: a range that the bus passes on, whose both ends are fixed
    private static final int FIXED_PRODUCER = 1 << 2 | 1 << 3;
    private static final int TYPE_MEMORY = 0;
    private static final int TYPE_IO = 1;
    private static final int TYPE_BUS = 2;
    private static final int ENTIRE_RANGE = 3;

    private static final long PORTS = 0x1_0000;
    private static final int IRQS = 16;

    private final byte[] bytes;

    private Resource(TableBytes bytes) {
        this.bytes = bytes.toBytes();
    }

    /// Ports of a device.
    public static Resource io(GuestRange ports) {
        check(ports, PORTS);
        if (ports.size() > 0xff) {
            throw new IllegalArgumentException("more than 255 ports: " + ports);
        }
        return new Resource(
                new TableBytes()
                        .u8(IO_PORT)
                        .u8(DECODES_16_BITS)
                        .u16((int) ports.base())
                        .u16((int) ports.base())
                        .u8(1)
                        .u8((int) ports.size()));
    }

    /// An ISA interrupt of a device: edges, active high.
    ///
    /// @param irq 0 to 15
    public static Resource irq(int irq) {
        if (irq < 0 || irq >= IRQS) {
            throw new IllegalArgumentException("no ISA interrupt: " + irq);
        }
        return new Resource(new TableBytes().u8(IRQ).u16(1 << irq));
    }

    /// An interrupt of a device by its global number: edges, active high.
    public static Resource interrupt(int gsi) {
        return interrupt(gsi, CONSUMER | EDGE);
    }

    /// The same for one that another device may have, too.
    public static Resource sharedInterrupt(int gsi) {
        return interrupt(gsi, CONSUMER | EDGE | SHARED);
    }

    private static Resource interrupt(int gsi, int flags) {
        return new Resource(
                new TableBytes().u8(EXTENDED_INTERRUPT).u16(6).u8(flags).u8(1).u32(gsi));
    }

    /// Memory-mapped registers of a device, below 4 GiB.
    public static Resource memory32(GuestRange range) {
        check(range, 1L << Integer.SIZE);
        return new Resource(
                new TableBytes()
                        .u8(MEMORY_32_FIXED)
                        .u16(9)
                        .u8(READ_WRITE)
                        .u32(range.base())
                        .u32(range.size()));
    }

    /// The numbers of the buses below a bridge, from 0.
    ///
    /// @param count 1 to 256
    public static Resource buses(int count) {
        check(new GuestRange(0, count), 256);
        return new Resource(
                new TableBytes()
                        .u8(WORD_ADDRESS)
                        .u16(13)
                        .u8(TYPE_BUS)
                        .u8(FIXED_PRODUCER)
                        .u8(0)
                        .u16(0)
                        .u16(0)
                        .u16(count - 1)
                        .u16(0)
                        .u16(count));
    }

    /// Ports that a bridge passes on.
    public static Resource ioWindow(GuestRange ports) {
        check(ports, PORTS);
        return new Resource(
                new TableBytes()
                        .u8(WORD_ADDRESS)
                        .u16(13)
                        .u8(TYPE_IO)
                        .u8(FIXED_PRODUCER)
                        .u8(ENTIRE_RANGE)
                        .u16(0)
                        .u16((int) ports.base())
                        .u16((int) ports.end() - 1)
                        .u16(0)
                        .u16((int) ports.size()));
    }

    /// Addresses that a bridge passes on: not cached, and not said to be prefetchable, so that both
    /// kinds of BARs may be there.
    public static Resource memoryWindow(GuestRange range) {
        return range.end() <= 1L << Integer.SIZE ? dwordWindow(range) : qwordWindow(range);
    }

    /// The value of a `_CRS`.
    public static Aml.Value template(Resource... resources) {
        var out = new TableBytes();
        for (Resource resource : resources) {
            out.bytes(resource.bytes);
        }
        // a checksum of 0 is not checked (§6.4.2.9)
        return Aml.buffer(out.u8(END).u8(0).toBytes());
    }

    private static Resource dwordWindow(GuestRange range) {
        return new Resource(
                new TableBytes()
                        .u8(DWORD_ADDRESS)
                        .u16(23)
                        .u8(TYPE_MEMORY)
                        .u8(FIXED_PRODUCER)
                        .u8(READ_WRITE)
                        .u32(0)
                        .u32(range.base())
                        .u32(range.end() - 1)
                        .u32(0)
                        .u32(range.size()));
    }

    private static Resource qwordWindow(GuestRange range) {
        return new Resource(
                new TableBytes()
                        .u8(QWORD_ADDRESS)
                        .u16(43)
                        .u8(TYPE_MEMORY)
                        .u8(FIXED_PRODUCER)
                        .u8(READ_WRITE)
                        .u64(0)
                        .u64(range.base())
                        .u64(range.end() - 1)
                        .u64(0)
                        .u64(range.size()));
    }

    private static void check(GuestRange range, long end) {
        if (range.end() > end) {
            throw new IllegalArgumentException("%s is not below 0x%x".formatted(range, end));
        }
    }
}
