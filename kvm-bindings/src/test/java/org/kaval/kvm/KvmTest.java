package org.kaval.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.kaval.testing.NeedsKvm;

/// Needs KVM, any kind.
@NeedsKvm
class KvmTest {
    /// Intel SDM vol. 4: every x86-64 has it.
    private static final int IA32_TSC = 0x10;

    @Test
    void requiredCapabilitiesAreThere() throws Exception {
        try (Kvm kvm = Kvm.open();
                KvmVm vm = kvm.createVm()) {
            List<Capability> missing =
                    Arrays.stream(Capability.values())
                            .filter(each -> each.need() == Capability.Need.REQUIRED)
                            .filter(each -> kvm.check(each) == 0 || vm.check(each) == 0)
                            .toList();
            assertEquals(List.of(), missing);
        }
    }

    @Test
    void unknownCapabilityIsZero() throws Exception {
        try (Kvm kvm = Kvm.open()) {
            assertEquals(0, kvm.checkExtension(0x7fff_ffff));
            assertEquals(0, kvm.checkExtension(-1));
        }
    }

    @Test
    void limitsAreNumbers() throws Exception {
        try (Kvm kvm = Kvm.open()) {
            assertTrue(kvm.check(Capability.MAX_VCPUS) >= 1);
            assertTrue(kvm.check(Capability.NR_MEMSLOTS) >= 32);
        }
    }

    @Test
    void everyCapabilitySaysWhatIsLostWithoutIt() {
        assertTrue(Arrays.stream(Capability.values()).noneMatch(c -> c.withoutIt().isBlank()));
    }

    @Test
    void supportedCpuidHasTheBasicLeaves() throws Exception {
        try (Kvm kvm = Kvm.open()) {
            List<CpuidEntry> leaves = kvm.supportedCpuid();
            CpuidEntry first = leaves.getFirst();
            assertEquals(0, first.function());
            assertTrue(first.eax() >= 7); // the highest basic leaf
            assertTrue(leaves.stream().anyMatch(leaf -> leaf.function() == 1));
            assertTrue(
                    leaves.stream()
                            .filter(leaf -> leaf.function() == 7)
                            .allMatch(leaf -> leaf.flags() == CpuidEntry.FLAG_SIGNIFICANT_INDEX));
        }
    }

    @Test
    void machineKeepsWhatItsDeviceHasSaid() throws Exception {
        List<CpuidEntry> said;
        KvmVm machine;
        try (Kvm kvm = Kvm.open()) {
            said = kvm.supportedCpuid();
            machine = kvm.createVm();
        }
        try (machine;
                Kvm another = Kvm.open()) {
            assertSame(said, another.supportedCpuid());
        }
    }

    @Test
    void msrListHasTheTimeStampCounterAndNothingTwice() throws Exception {
        try (Kvm kvm = Kvm.open()) {
            List<Integer> indices = kvm.msrIndexList();
            assertTrue(indices.contains(IA32_TSC));
            assertEquals(indices.size(), new HashSet<>(indices).size());
        }
    }

    @Test
    void machinesOutliveTheDevice() throws Exception {
        Kvm kvm = Kvm.open();
        try (KvmVm vm = kvm.createVm()) {
            kvm.close();
            vm.createVcpu(0);
        }
    }

    @Test
    void closedDeviceIsRefused() throws Exception {
        Kvm kvm = Kvm.open();
        kvm.close();
        kvm.close();
        var closed = assertThrows(IllegalStateException.class, () -> kvm.createVm().close());
        assertEquals("/dev/kvm is closed", closed.getMessage());
    }
}
