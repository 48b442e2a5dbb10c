package org.kaval.machine;

import java.util.ArrayList;
import java.util.List;
import org.kaval.memory.GuestRange;

/// Where things are in a guest's physical address space, and at its ports.
///
/// | from        | to          | what                                                     |
/// |------------:|------------:|----------------------------------------------------------|
/// | 0           | 3 GiB       | RAM, as far as there is so much                          |
/// | 0xe0000     | 0xfefff     | in it: ACPI tables ({@link org.kaval.machine.acpi.AcpiTables#AREA}) |
/// | 0xff000     | 0xfffff     | in it: the machine's generation                          |
/// | 0xc0000000  | 0xdfffffff  | PCI: BARs below 4 GiB                                    |
/// | 0xe0000000  | 0xefffffff  | PCI: configuration space of 256 buses (ECAM)             |
/// | 0xf0000000  | 0xfebfffff  | devices that are not PCI's, as virtio-mmio               |
/// | 0xfec00000  | 0xfec00fff  | IOAPIC, in the kernel                                    |
/// | 0xfee00000  | 0xfee00fff  | local APIC, in the kernel; messages of MSI               |
/// | 0xff000000  | 0xffffffff  | firmware, but for the next two                           |
/// | 0xfffbc000  | 0xfffbcfff  | page tables for VT-x without paging (`KVM_SET_IDENTITY_MAP_ADDR`) |
/// | 0xfffbd000  | 0xfffbffff  | task state for VT-x in real mode (`KVM_SET_TSS_ADDR`)    |
/// | 4 GiB       |             | the rest of RAM                                          |
/// | behind RAM  |             | PCI: BARs above 4 GiB, an eighth of the processor's addresses and 64 GiB at most |
///
/// | ports         | what                                      | interrupt      |
/// |--------------:|-------------------------------------------|----------------|
/// | 0x20-0x21     | first 8259, in the kernel                 |                |
/// | 0x40-0x43     | 8254, in the kernel                       | 0              |
/// | 0x60, 0x64    | keyboard controller                       | 1              |
/// | 0x61          | gate of the 8254's channel 2, in the kernel |              |
/// | 0x70-0x71     | real-time clock                           | 8              |
/// | 0x80          | POST codes                                |                |
/// | 0x92          | system control port A                     |                |
/// | 0xa0-0xa1     | second 8259, in the kernel                |                |
/// | 0xf4-0xf7     | debug exit                                |                |
/// | 0x3f8-0x3ff   | first serial port                         | 4              |
/// |               | the machine's generation                  | 13             |
/// | 0x4d0-0x4d1   | edge or level of the 8259s, in the kernel |                |
/// | 0x505         | panic notifier                            |                |
/// | 0x600-0x60b   | ACPI power management                     | 9, level       |
/// | 0xcf8-0xcff   | PCI configuration; 0xcf9 is reset control |                |
/// | 0xd00-0xffff  | PCI: BARs                                 | 16 to 23, level |
final class AddressMap {
    static final long LOW_RAM_END = 3L << 30;
    static final long HIGH_RAM_BASE = 4L << 30;
    static final long VTX_IDENTITY_MAP = 0xfffb_c000L;
    static final long VTX_TASK_STATE = 0xfffb_d000L;

    /// For devices that are not PCI's.
    static final GuestRange FREE_MMIO = new GuestRange(0xf000_0000L, 0xec0_0000);

    /// Configuration space.
    static final GuestRange PCI_ECAM = new GuestRange(0xe000_0000L, 0x1000_0000);

    /// The ports that the host bridge passes on: all but its own.
    static final List<GuestRange> PCI_PORTS =
            List.of(new GuestRange(0, 0xcf8), new GuestRange(0xd00, 0xf300));

    private static final GuestRange PCI_LOW_MEMORY = new GuestRange(0xc000_0000L, 0x2000_0000);
    private static final long PCI_HIGH_MEMORY_LIMIT = 64L << 30;

    private AddressMap() {}

    /// The ranges of `size` bytes of RAM.
    static List<GuestRange> ram(long size) {
        if (size <= LOW_RAM_END) {
            return List.of(new GuestRange(0, size));
        }
        return List.of(
                new GuestRange(0, LOW_RAM_END), new GuestRange(HIGH_RAM_BASE, size - LOW_RAM_END));
    }

    /// The addresses that the PCI host bridge passes on.
    ///
    /// @param ram what is RAM, in ascending order
    /// @param addressBits how many bits the processor's physical addresses have: 32 to 52
    static List<GuestRange> pciMemory(List<GuestRange> ram, int addressBits) {
        var windows = new ArrayList<GuestRange>();
        windows.add(PCI_LOW_MEMORY);
        long size = Math.min(PCI_HIGH_MEMORY_LIMIT, 1L << (addressBits - 3));
        long behindRam = Math.max(HIGH_RAM_BASE, ram.getLast().end());
        long base = (behindRam + size - 1) / size * size;
        if (base + size <= 1L << addressBits) {
            windows.add(new GuestRange(base, size));
        }
        return List.copyOf(windows);
    }
}
