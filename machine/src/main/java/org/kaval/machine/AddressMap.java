package org.kaval.machine;

import java.util.List;
import org.kaval.memory.GuestRange;

/// Where things are in a guest's physical address space.
///
/// | from        | to          | what                                                     |
/// |------------:|------------:|----------------------------------------------------------|
/// | 0           | 3 GiB       | RAM, as far as there is so much                          |
/// | 3 GiB       | 4 GiB       | devices: PCI windows, ECAM, IOAPIC, local APIC, firmware |
/// | 0xfffbc000  | 0xfffbcfff  | page tables for VT-x without paging (`KVM_SET_IDENTITY_MAP_ADDR`) |
/// | 0xfffbd000  | 0xfffbffff  | task state for VT-x in real mode (`KVM_SET_TSS_ADDR`)    |
/// | 4 GiB       |             | the rest of RAM                                          |
final class AddressMap {
    static final long LOW_RAM_END = 3L << 30;
    static final long HIGH_RAM_BASE = 4L << 30;
    static final long VTX_IDENTITY_MAP = 0xfffb_c000L;
    static final long VTX_TASK_STATE = 0xfffb_d000L;

    private AddressMap() {}

    /// The ranges of `size` bytes of RAM.
    static List<GuestRange> ram(long size) {
        if (size <= LOW_RAM_END) {
            return List.of(new GuestRange(0, size));
        }
        return List.of(
                new GuestRange(0, LOW_RAM_END), new GuestRange(HIGH_RAM_BASE, size - LOW_RAM_END));
    }
}
