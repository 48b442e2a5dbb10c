package org.kaval.vcpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.kvm.CpuidEntry;

/// Fields are read as the manuals define them: Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix
/// E. The tables stand for a host with 16 threads of 8 cores, vCPU 7 of which was asked.
class CpuidModelTest {
    private static final Topology ONE = Topology.ofCores(1);

    /// APIC ids have a bit for the thread, two for the core, and the socket above them.
    private static final Topology TWO_OF_THREE_OF_TWO = new Topology(2, 3, 2);

    private static final int LAST = 11; // socket 1, core 2, thread 1
    private static final int LAST_APIC_ID = 0b1_10_1;

    private static final int HTT = 28;
    private static final int HYPERVISOR = 31;
    private static final int OSXSAVE = 27;
    private static final int TSC_DEADLINE = 24;

    private static final List<CpuidEntry> INTEL =
            List.of(
                    CpuidEntry.of(0x0, 0x20, 0x756e_6547, 0x6c65_746e, 0x4965_6e69),
                    CpuidEntry.of(0x1, 0xc_06f2, 0x0710_08ab, 0x0f7a_fbff, 0x1f8b_fbff),
                    cache(0x4, 0, 1, 1), // L1 data
                    cache(0x4, 1, 2, 1), // L1 instructions
                    cache(0x4, 2, 3, 2),
                    cache(0x4, 3, 3, 3),
                    CpuidEntry.of(0x4, 4, 0, 0, 0, 0),
                    CpuidEntry.of(0x7, 0, 2, 0xf1bf_07ab, 0x1b41_5f6e, 0x1c),
                    CpuidEntry.of(0x7, 1, 0x1c30, 0, 0, 0),
                    CpuidEntry.of(0xb, 0, 1, 2, 0x100, 7),
                    CpuidEntry.of(0xb, 1, 4, 16, 0x201, 7),
                    CpuidEntry.of(0xd, 0, 7, 0x340, 0x340, 0),
                    CpuidEntry.of(0x1f, 0, 1, 2, 0x100, 7),
                    CpuidEntry.of(0x1f, 1, 4, 16, 0x201, 7),
                    CpuidEntry.of(0x4000_0000, 0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d),
                    CpuidEntry.of(0x4000_0001, 0x0100_7efb, 0, 0, 0),
                    CpuidEntry.of(0x8000_0000, 0x8000_0008, 0, 0, 0));

    private static final List<CpuidEntry> AMD =
            List.of(
                    CpuidEntry.of(0x0, 0x10, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
                    CpuidEntry.of(0x1, 0xa0_0f11, 0x0710_08ab, 0x76fa_320b, 0x178b_fbff),
                    CpuidEntry.of(0xb, 0, 1, 2, 0x100, 7),
                    CpuidEntry.of(0x4000_0000, 0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d),
                    CpuidEntry.of(0x8000_0000, 0x8000_0026, 0, 0, 0),
                    // 16 threads in 4 bits of the APIC id; 48-bit performance counter
                    CpuidEntry.of(0x8000_0008, 0x0030_3030, 0x1000_0200, 0x0001_400f, 0),
                    cache(0x8000_001d, 0, 1, 1),
                    cache(0x8000_001d, 1, 2, 1),
                    cache(0x8000_001d, 2, 3, 2),
                    cache(0x8000_001d, 3, 3, 3),
                    CpuidEntry.of(0x8000_001d, 4, 0, 0, 0, 0),
                    CpuidEntry.of(0x8000_001e, 7, 0x0103, 0x300, 0),
                    CpuidEntry.of(0x8000_0026, 0, 1, 2, 0x100, 7));

    @Test
    void initialApicIdIsTheVcpus() {
        var model = model(INTEL, TWO_OF_THREE_OF_TWO);

        assertEquals(0, bits(leaf(model.forVcpu(0), 0x1).ebx(), 31, 24));
        assertEquals(5, bits(leaf(model.forVcpu(5), 0x1).ebx(), 31, 24));
        assertEquals(8, bits(leaf(model.forVcpu(6), 0x1).ebx(), 31, 24));
        assertEquals(LAST_APIC_ID, bits(leaf(model.forVcpu(LAST), 0x1).ebx(), 31, 24));
    }

    @Test
    void largestApicIdIsNotSignExtended() {
        var table = model(INTEL, new Topology(255, 1, 1)).forVcpu(254);

        assertEquals(254, leaf(table, 0x1).ebx() >>> 24);
        assertEquals(254, subleaf(table, 0xb, 0).edx());
    }

    @Test
    void restOfTheFeatureLeafIsTheHosts() {
        CpuidEntry host = leaf(INTEL, 0x1);

        CpuidEntry guest = leaf(model(INTEL, TWO_OF_THREE_OF_TWO).forVcpu(LAST), 0x1);

        assertEquals(host.eax(), guest.eax());
        assertEquals(0x08ab, bits(guest.ebx(), 15, 0)); // cache line, brand
        int changed = 1 << HYPERVISOR | 1 << OSXSAVE | 1 << TSC_DEADLINE;
        assertEquals(host.ecx() & ~changed, guest.ecx() & ~changed);
        assertEquals(host.edx(), guest.edx());
    }

    @Test
    void logicalProcessorsOfASocketAreCounted() {
        // SDM: the nearest power of two that is not smaller is how many APIC ids a package has
        assertEquals(6, logicalProcessors(TWO_OF_THREE_OF_TWO));
        assertEquals(2, logicalProcessors(new Topology(1, 1, 2)));
        assertEquals(100, logicalProcessors(new Topology(1, 100, 1)));
        assertEquals(255, logicalProcessors(new Topology(1, 255, 1)));
        assertEquals(1, logicalProcessors(new Topology(4, 1, 1)));
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 1, 0", "4, 1, 1, 0", "1, 2, 1, 1", "1, 1, 2, 1", "2, 3, 2, 1"})
    void multithreadingIsSaidOfSocketsOfMoreThanOneVcpu(
            int sockets, int cores, int threads, int htt) {
        var topology = new Topology(sockets, cores, threads);

        assertEquals(htt, bit(leaf(model(INTEL, topology).forVcpu(0), 0x1).edx(), HTT));
        assertEquals(htt, bit(leaf(model(AMD, topology).forVcpu(0), 0x1).edx(), HTT));
    }

    @Test
    void guestIsToldOfTheHypervisorAndNotOfTheHostsOsxsave() {
        int ecx = leaf(model(INTEL, ONE).forVcpu(0), 0x1).ecx();

        assertEquals(1, bit(ecx, HYPERVISOR));
        assertEquals(0, bit(ecx, OSXSAVE));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void tscDeadlineTimerIsThereIfTheKernelsApicHasOne(boolean there) {
        var model = new CpuidModel(INTEL, ONE, there, 0);

        assertEquals(there ? 1 : 0, bit(leaf(model.forVcpu(0), 0x1).ecx(), TSC_DEADLINE));
    }

    @ParameterizedTest
    @CsvSource({
        // subleaf, sharing vCPUs less one
        "0, 1",
        "1, 1",
        "2, 1",
        "3, 7",
    })
    void threadsShareTheCachesOfTheirCoreAndSocketsTheThirdLevel(int subleaf, int sharing) {
        var intel = subleaf(model(INTEL, TWO_OF_THREE_OF_TWO).forVcpu(LAST), 0x4, subleaf);
        var amd = subleaf(model(AMD, TWO_OF_THREE_OF_TWO).forVcpu(LAST), 0x8000_001d, subleaf);

        assertEquals(sharing, bits(intel.eax(), 25, 14));
        assertEquals(sharing, bits(amd.eax(), 25, 14));
    }

    @Test
    void intelsCacheLeafHasTheCoreIdsOfASocketLessOne() {
        var table = model(INTEL, TWO_OF_THREE_OF_TWO).forVcpu(0);

        assertEquals(3, bits(subleaf(table, 0x4, 0).eax(), 31, 26));
        assertEquals(3, bits(subleaf(table, 0x4, 3).eax(), 31, 26));
    }

    @Test
    void intelsCacheLeafSaysAtMost64CoreIds() {
        var table = model(INTEL, Topology.ofCores(255)).forVcpu(0);

        assertEquals(63, bits(subleaf(table, 0x4, 0).eax(), 31, 26));
        assertEquals(0, bits(subleaf(table, 0x4, 0).eax(), 25, 14));
        assertEquals(255, bits(subleaf(table, 0x4, 3).eax(), 25, 14));
    }

    @Test
    void sizesOfCachesAreTheHosts() {
        CpuidEntry host = subleaf(INTEL, 0x4, 3);

        CpuidEntry guest = subleaf(model(INTEL, TWO_OF_THREE_OF_TWO).forVcpu(0), 0x4, 3);

        assertEquals(bits(host.eax(), 13, 0), bits(guest.eax(), 13, 0));
        assertEquals(host.ebx(), guest.ebx());
        assertEquals(host.ecx(), guest.ecx());
        assertEquals(host.edx(), guest.edx());
    }

    @Test
    void amdsCacheLeafKeepsItsReservedBits() {
        CpuidEntry host = subleaf(AMD, 0x8000_001d, 0);

        CpuidEntry guest = subleaf(model(AMD, TWO_OF_THREE_OF_TWO).forVcpu(0), 0x8000_001d, 0);

        assertEquals(bits(host.eax(), 31, 26), bits(guest.eax(), 31, 26));
    }

    @Test
    void endOfTheCachesStaysEmpty() {
        var table = model(INTEL, TWO_OF_THREE_OF_TWO).forVcpu(0);

        assertEquals(CpuidEntry.of(0x4, 4, 0, 0, 0, 0), subleaf(table, 0x4, 4));
    }

    @Test
    void extendedTopologyHasThreadsCoresAndAnEnd() {
        var table = model(INTEL, TWO_OF_THREE_OF_TWO).forVcpu(LAST);

        // shift of the APIC id to the next level; vCPUs up to it; type and number; the APIC id
        assertEquals(
                List.of(
                        CpuidEntry.of(0xb, 0, 1, 2, 0x100, LAST_APIC_ID),
                        CpuidEntry.of(0xb, 1, 3, 6, 0x201, LAST_APIC_ID),
                        CpuidEntry.of(0xb, 2, 0, 0, 0x002, LAST_APIC_ID)),
                all(table, 0xb));
    }

    @Test
    void extendedTopologyOfOneVcpuIsOneOfEach() {
        var table = model(INTEL, ONE).forVcpu(0);

        assertEquals(
                List.of(
                        CpuidEntry.of(0xb, 0, 0, 1, 0x100, 0),
                        CpuidEntry.of(0xb, 1, 0, 1, 0x201, 0),
                        CpuidEntry.of(0xb, 2, 0, 0, 0x002, 0)),
                all(table, 0xb));
    }

    @Test
    void extendedTopologyIsNotMadeForAHostWithoutIt() {
        var old = INTEL.stream().filter(entry -> entry.function() != 0xb).toList();

        assertEquals(List.of(), all(model(old, TWO_OF_THREE_OF_TWO).forVcpu(0), 0xb));
    }

    @Test
    void leavesThatSayTheSameInAnotherWayAreLeftOut() {
        assertEquals(List.of(), all(model(INTEL, TWO_OF_THREE_OF_TWO).forVcpu(0), 0x1f));
        assertEquals(List.of(), all(model(AMD, TWO_OF_THREE_OF_TWO).forVcpu(0), 0x8000_0026));
    }

    @Test
    void subleavesOfALeafAscend() {
        var table = model(INTEL, TWO_OF_THREE_OF_TWO).forVcpu(0);

        assertEquals(List.of(0, 1, 2, 3, 4), indices(table, 0x4));
        assertEquals(List.of(0, 1), indices(table, 0x7));
        assertEquals(List.of(0, 1, 2), indices(table, 0xb));
        assertEquals(
                List.of(0, 1, 2, 3, 4),
                indices(model(AMD, TWO_OF_THREE_OF_TWO).forVcpu(0), 0x8000_001d));
    }

    @Test
    void eachLeafIsThereOnce() {
        var table = new CpuidModel(INTEL, TWO_OF_THREE_OF_TWO, true, 2_000_000).forVcpu(3);

        long distinct =
                table.stream().map(e -> List.of(e.function(), e.index())).distinct().count();

        assertEquals(table.size(), distinct);
    }

    @Test
    void leavesOfNoInterestAreTheHosts() {
        var table = model(INTEL, TWO_OF_THREE_OF_TWO).forVcpu(LAST);

        assertEquals(leaf(INTEL, 0x0), leaf(table, 0x0));
        assertEquals(all(INTEL, 0x7), all(table, 0x7));
        assertEquals(all(INTEL, 0xd), all(table, 0xd));
        assertEquals(leaf(INTEL, 0x4000_0001), leaf(table, 0x4000_0001));
        assertEquals(leaf(INTEL, 0x8000_0000), leaf(table, 0x8000_0000));
    }

    @Test
    void amdsSizesAreThreadsOfASocketLessOneAndTheirBits() {
        CpuidEntry host = leaf(AMD, 0x8000_0008);

        CpuidEntry guest = leaf(model(AMD, TWO_OF_THREE_OF_TWO).forVcpu(LAST), 0x8000_0008);

        assertEquals(5, bits(guest.ecx(), 7, 0));
        assertEquals(3, bits(guest.ecx(), 15, 12));
        assertEquals(bits(host.ecx(), 31, 16), bits(guest.ecx(), 31, 16)); // the counter's size
        assertEquals(host.eax(), guest.eax()); // widths of addresses
        assertEquals(host.ebx(), guest.ebx());
    }

    @Test
    void amdsSizesOfOneVcpuAreZero() {
        CpuidEntry guest = leaf(model(AMD, ONE).forVcpu(0), 0x8000_0008);

        assertEquals(0, bits(guest.ecx(), 15, 0));
    }

    @Test
    void amdsTopologyLeafHasApicIdCoreAndNode() {
        CpuidEntry guest = leaf(model(AMD, TWO_OF_THREE_OF_TWO).forVcpu(LAST), 0x8000_001e);

        assertEquals(LAST_APIC_ID, guest.eax());
        assertEquals(2, bits(guest.ebx(), 7, 0)); // core in the socket
        assertEquals(1, bits(guest.ebx(), 15, 8)); // threads of a core less one
        assertEquals(1, bits(guest.ecx(), 7, 0)); // node, one per socket
        assertEquals(0, bits(guest.ecx(), 10, 8)); // nodes of a socket less one
    }

    @Test
    void amdsTopologyLeafOfOneVcpuIsZero() {
        assertEquals(
                CpuidEntry.of(0x8000_001e, 0, 0, 0, 0),
                leaf(model(AMD, ONE).forVcpu(0), 0x8000_001e));
    }

    /// An AMD processor as QEMU emulates it, or one of before 2011.
    private static final List<CpuidEntry> OLD_AMD =
            List.of(
                    CpuidEntry.of(0x0, 0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
                    CpuidEntry.of(0x8000_0000, 0x8000_000a, 1, 2, 3),
                    CpuidEntry.of(0x8000_0001, 0xa0_0f11, 0, 0x75, 0x2fd3_fbff));

    @Test
    void threadsOfAnAmdWithoutATopologyLeafGetOne() {
        var table = model(OLD_AMD, TWO_OF_THREE_OF_TWO).forVcpu(LAST);

        assertEquals(CpuidEntry.of(0x8000_0000, 0x8000_001e, 1, 2, 3), leaf(table, 0x8000_0000));
        assertEquals(
                CpuidEntry.of(0x8000_0001, 0xa0_0f11, 0, 0x75 | 1 << 22, 0x2fd3_fbff),
                leaf(table, 0x8000_0001));
        assertEquals(
                CpuidEntry.of(0x8000_001e, LAST_APIC_ID, 0x0102, 1, 0), leaf(table, 0x8000_001e));
    }

    @Test
    void coresOfAnAmdWithoutATopologyLeafNeedNone() {
        assertEquals(OLD_AMD, model(OLD_AMD, Topology.ofCores(4)).forVcpu(3));
    }

    @Test
    void higherExtendedLeavesStay() {
        assertEquals(
                leaf(AMD, 0x8000_0000),
                leaf(model(AMD, TWO_OF_THREE_OF_TWO).forVcpu(0), 0x8000_0000));
        assertEquals(1, all(model(AMD, TWO_OF_THREE_OF_TWO).forVcpu(0), 0x8000_001e).size());
    }

    @Test
    void knownFrequenciesAreInTheTimingLeaf() {
        var table = new CpuidModel(INTEL, ONE, true, 2_693_512).forVcpu(0);

        assertEquals(
                CpuidEntry.of(0x4000_0010, 2_693_512, 1_000_000, 0, 0), leaf(table, 0x4000_0010));
        assertEquals(0x4000_0010, leaf(table, 0x4000_0000).eax());
        assertEquals(leaf(INTEL, 0x4000_0000).ebx(), leaf(table, 0x4000_0000).ebx()); // "KVMK"
    }

    @Test
    void unknownFrequencyMakesNoTimingLeaf() {
        var table = model(INTEL, ONE).forVcpu(0);

        assertEquals(List.of(), all(table, 0x4000_0010));
        assertEquals(0x4000_0001, leaf(table, 0x4000_0000).eax());
    }

    @Test
    void vcpuThatIsNotThereHasNoTable() {
        var model = model(INTEL, TWO_OF_THREE_OF_TWO);

        assertThrows(IndexOutOfBoundsException.class, () -> model.forVcpu(12));
        assertThrows(IndexOutOfBoundsException.class, () -> model.forVcpu(-1));
    }

    @Test
    void laterChangesOfTheHostsTableAreNotSeen() {
        var supported = new ArrayList<>(INTEL);
        var model = model(supported, ONE);

        supported.clear();

        assertEquals(leaf(INTEL, 0x0), leaf(model.forVcpu(0), 0x0));
    }

    private static CpuidModel model(List<CpuidEntry> supported, Topology topology) {
        return new CpuidModel(supported, topology, false, 0);
    }

    private static int logicalProcessors(Topology topology) {
        return bits(leaf(model(INTEL, topology).forVcpu(0), 0x1).ebx(), 23, 16);
    }

    /// A cache that 16 threads of 8 cores share, if one believes the host.
    private static CpuidEntry cache(int leaf, int index, int type, int level) {
        int eax = 7 << 26 | 15 << 14 | 1 << 8 | level << 5 | type;
        return CpuidEntry.of(leaf, index, eax, 0x02c0_003f, 0x3ff, 4);
    }

    private static CpuidEntry leaf(List<CpuidEntry> table, int function) {
        return subleaf(table, function, 0);
    }

    private static CpuidEntry subleaf(List<CpuidEntry> table, int function, int index) {
        return all(table, function).stream()
                .filter(entry -> entry.index() == index)
                .findFirst()
                .orElseThrow();
    }

    private static List<CpuidEntry> all(List<CpuidEntry> table, int function) {
        return table.stream().filter(entry -> entry.function() == function).toList();
    }

    private static List<Integer> indices(List<CpuidEntry> table, int function) {
        return all(table, function).stream().map(CpuidEntry::index).toList();
    }

    private static int bit(int value, int number) {
        return bits(value, number, number);
    }

    private static int bits(int value, int high, int low) {
        return (int) (Integer.toUnsignedLong(value) >> low & ((1L << (high - low + 1)) - 1));
    }

    @Test
    void brandFillsThreeLeavesAndIsCut() {
        String brand = "Kaval Processor 9000 with a name that is far too long for it";
        List<CpuidEntry> table =
                CpuidModel.withBrand(List.of(CpuidEntry.of(0x8000_0003, 1, 2, 3, 4)), brand);

        assertEquals(3, table.size());
        assertEquals(0x6176_614b, table.get(0).eax()); // "Kava"
        assertEquals(0x3030_3039, leaf(table, 0x8000_0003).eax()); // "9000"
        assertEquals(0, leaf(table, 0x8000_0004).edx() >>> 24); // ends with 0
    }

    @Test
    void sizesOfAnIntelProcessorKeepTheirReservedBits() {
        CpuidEntry intel = CpuidEntry.of(0, 0x16, 0x756e_6547, 0x6c65_746e, 0x4965_6e69);
        CpuidEntry sizes = CpuidEntry.of(0x8000_0008, 0x3030, 0, 0x1234, 0);
        var model = model(List.of(intel, sizes), new Topology(1, 255, 1));
        assertEquals(sizes, leaf(model.forVcpu(0), 0x8000_0008));
    }

    @ParameterizedTest
    @CsvSource({"0x3034, 52", "0x302e, 46", "0x3024, 36", "0x3000, 36", "0x30ff, 36"})
    void addressesHaveAsManyBitsAsTheProcessorSays(int eax, int bits) {
        List<CpuidEntry> table = List.of(CpuidEntry.of(0x8000_0008, eax, 0, 0, 0));

        assertEquals(bits, CpuidModel.physicalAddressBits(table));
    }

    @Test
    void addressesHaveThirtySixBitsWhereTheProcessorDoesNotSay() {
        assertEquals(36, CpuidModel.physicalAddressBits(INTEL));
    }
}
