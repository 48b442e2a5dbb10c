package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.kaval.memory.GuestRange;

class AddressMapTest {
    private static final long PAGE = 4096;
    private static final long GIB = 1L << 30;

    @Test
    void littleRamIsOneRangeAtZero() {
        assertEquals(List.of(new GuestRange(0, 1 << 20)), AddressMap.ram(1 << 20));
    }

    @Test
    void ramOfAPageLessThanTheHoleIsOneRange() {
        assertEquals(List.of(new GuestRange(0, 3 * GIB - PAGE)), AddressMap.ram(3 * GIB - PAGE));
    }

    @Test
    void ramUpToTheHoleIsOneRange() {
        assertEquals(List.of(new GuestRange(0, 3 * GIB)), AddressMap.ram(3 * GIB));
    }

    @Test
    void firstPageBeyondGoesToFourGib() {
        assertEquals(
                List.of(new GuestRange(0, 3 * GIB), new GuestRange(4 * GIB, PAGE)),
                AddressMap.ram(3 * GIB + PAGE));
    }

    @Test
    void muchRamGoesOnAtFourGib() {
        assertEquals(
                List.of(new GuestRange(0, 3 * GIB), new GuestRange(4 * GIB, 61 * GIB)),
                AddressMap.ram(64 * GIB));
    }

    /// VT-x takes a page and three pages of the 32-bit hole (KVM API, `KVM_SET_TSS_ADDR`).
    @Test
    void whatVtxNeedsIsInTheHoleAndDisjoint() {
        var hole = new GuestRange(AddressMap.LOW_RAM_END, GIB);
        var identityMap = new GuestRange(AddressMap.VTX_IDENTITY_MAP, PAGE);
        var taskState = new GuestRange(AddressMap.VTX_TASK_STATE, 3 * PAGE);

        assertEquals(true, hole.holds(identityMap.base(), identityMap.size()));
        assertEquals(true, hole.holds(taskState.base(), taskState.size()));
        assertEquals(false, identityMap.overlaps(taskState));
    }

    private static List<GuestRange> pciMemory(long ram, int addressBits) {
        return AddressMap.pciMemory(AddressMap.ram(ram), addressBits);
    }

    @Test
    void pciHasAWindowInTheHoleAndOneBehindRam() {
        var low = new GuestRange(0xc000_0000L, 512 << 20);

        assertEquals(List.of(low, new GuestRange(64 * GIB, 64 * GIB)), pciMemory(GIB, 46));
        assertEquals(List.of(low, new GuestRange(64 * GIB, 64 * GIB)), pciMemory(63 * GIB, 46));
        assertEquals(List.of(low, new GuestRange(128 * GIB, 64 * GIB)), pciMemory(64 * GIB, 46));
    }

    @Test
    void pciWindowBehindRamIsSmallerWhereAddressesAreShort() {
        var low = new GuestRange(0xc000_0000L, 512 << 20);

        assertEquals(List.of(low, new GuestRange(8 * GIB, 8 * GIB)), pciMemory(GIB, 36));
        assertEquals(List.of(low, new GuestRange(56 * GIB, 8 * GIB)), pciMemory(55 * GIB, 36));
        assertEquals(List.of(low), pciMemory(56 * GIB, 36));
        assertEquals(List.of(low), pciMemory(GIB, 32));
    }

    @Test
    void pciIsInTheHoleAndDisjoint() {
        var hole = new GuestRange(AddressMap.LOW_RAM_END, GIB);
        GuestRange window = pciMemory(GIB, 46).getFirst();

        assertEquals(true, hole.holds(window.base(), window.size()));
        assertEquals(true, hole.holds(AddressMap.PCI_ECAM.base(), AddressMap.PCI_ECAM.size()));
        assertEquals(false, window.overlaps(AddressMap.PCI_ECAM));
    }
}
