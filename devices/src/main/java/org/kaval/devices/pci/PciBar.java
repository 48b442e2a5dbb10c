package org.kaval.devices.pci;

import org.kaval.devices.Device;
import org.kaval.memory.GuestRange;

/// A range of registers that a function has, at an address that the guest chooses (a base address
/// register, PCI 3.0 §6.2.5).
///
/// @param kind in which address space
/// @param size in bytes, a power of two: 4 to 256 for ports, 16 at least for memory, and 2 GiB at
///   most for 32 bits
/// @param registers what answers there
/// @param placement is told where it is
public record PciBar(Kind kind, long size, Device registers, Placement placement) {
    /// The address space of a BAR.
    public enum Kind {
        /// Ports.
        PORTS(1, 4, 1 << 8),
        /// Memory below 4 GiB.
        MEMORY_32(0, 16, 1L << 31),
        /// Memory anywhere; takes two registers.
        MEMORY_64(4, 16, 1L << 40);

        private final int flags;
        private final long smallest;
        private final long largest;

        Kind(int flags, long smallest, long largest) {
            this.flags = flags;
            this.smallest = smallest;
            this.largest = largest;
        }

        /// The low bits of the register.
        int flags() {
            return flags;
        }

        /// Which bits of the register are no address.
        long flagMask() {
            return this == PORTS ? 0x3 : 0xf;
        }

        int registers() {
            return this == MEMORY_64 ? 2 : 1;
        }
    }

    /// Learns where a BAR is, to register doorbells for instance. Called with the function's lock
    /// held; calls nothing but the kernel.
    public interface Placement {
        /// Does not care.
        Placement NONE =
                new Placement() {
                    @Override
                    public void placed(GuestRange range) {}

                    @Override
                    public void removed(GuestRange range) {}
                };

        /// The registers answer at `range` from now on.
        void placed(GuestRange range);

        /// They do no longer.
        void removed(GuestRange range);
    }

    public PciBar {
        if (Long.bitCount(size) != 1 || size < kind.smallest || size > kind.largest) {
            throw new IllegalArgumentException("no size of a BAR: 0x%x".formatted(size));
        }
    }

    /// A BAR for which it does not matter where it is.
    public PciBar(Kind kind, long size, Device registers) {
        this(kind, size, registers, Placement.NONE);
    }
}
