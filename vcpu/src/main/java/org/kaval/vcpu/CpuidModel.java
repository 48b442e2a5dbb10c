package org.kaval.vcpu;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.kaval.kvm.CpuidEntry;

/// What the CPUID instruction answers: what this host's KVM supports, with the parts changed that
/// depend on the vCPU and on how the machine is arranged.
///
/// | leaf                      | what is changed                                               |
/// |---------------------------|---------------------------------------------------------------|
/// | 1                         | APIC id, logical processors, hypervisor, TSC deadline timer   |
/// | 4, 0x8000001d             | how many vCPUs share each cache                               |
/// | 0xb                       | thread and core levels of the topology; 0x1f and 0x80000026, which say the same, are left out |
/// | 0x80000008, 0x8000001e    | the same for AMD; with threads of a core, an AMD processor without 0x8000001e gets it: without it (0x80000001, `TopologyExtensions`) Linux takes threads for cores |
/// | 0x40000000, 0x40000010    | the highest KVM leaf; TSC and APIC timer frequency            |
///
/// Sources: Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E; Linux
/// `Documentation/virt/kvm/x86/cpuid.rst`.
public final class CpuidModel {
    private static final int HYPERVISOR = 0x4000_0000;
    private static final int HYPERVISOR_TIMING = 0x4000_0010;

    /// The in-kernel APIC timer counts nanoseconds (`APIC_BUS_CYCLE_NS` is 1 in Linux).
    private static final int APIC_BUS_KILOHERTZ = 1_000_000;

    private static final int EXTENDED = 0x8000_0000;
    private static final int EXTENDED_FEATURES = 0x8000_0001;
    private static final int ADDRESS_SIZES = 0x8000_0008;
    private static final int AMD_TOPOLOGY = 0x8000_001e;

    /// What a processor has that does not say (Intel SDM vol. 3A §4.1.4).
    private static final int FEWEST_ADDRESS_BITS = 36;

    private static final int MOST_ADDRESS_BITS = 52;

    private static final int BRAND = 0x8000_0002;
    private static final int BRAND_LEAVES = 3;
    private static final int BYTES_PER_LEAF = 16;

    // EBX of leaf 0: the first four letters of the vendor
    private static final int VENDOR_AMD = 0x6874_7541; // "Auth"
    private static final int VENDOR_HYGON = 0x6f67_7948; // "Hygo"

    private static final int ECX1_TSC_DEADLINE = 1 << 24;
    private static final int ECX1_OSXSAVE = 1 << 27;
    private static final int ECX1_HYPERVISOR = 1 << 31;
    private static final int EDX1_HTT = 1 << 28;
    private static final int ECX_TOPOLOGY_EXTENSIONS = 1 << 22;

    private static final int LEVEL_THREAD = 1;
    private static final int LEVEL_CORE = 2;

    private final List<CpuidEntry> supported;
    private final Topology topology;
    private final boolean tscDeadline;
    private final long tscKilohertz;

    /// @param supported from {@link org.kaval.kvm.Kvm#supportedCpuid}
    /// @param tscDeadline whether the in-kernel APIC has a TSC deadline timer
    /// @param tscKilohertz 0 if it is not known
    public CpuidModel(
            List<CpuidEntry> supported, Topology topology, boolean tscDeadline, long tscKilohertz) {
        this.supported = List.copyOf(supported);
        this.topology = topology;
        this.tscDeadline = tscDeadline;
        this.tscKilohertz = tscKilohertz;
    }

    /// The table of vCPU `index`.
    public List<CpuidEntry> forVcpu(int index) {
        int apicId = topology.apicId(index);
        var table = new ArrayList<CpuidEntry>(supported.size() + 4);
        boolean extendedTopology = false;
        boolean amdThreads = isAmd() && topology.threads() > 1;
        for (CpuidEntry entry : supported) {
            switch (entry.function()) {
                case 0x1 -> table.add(features(entry, apicId));
                case 0x4 -> table.add(intelCache(entry));
                case 0xb -> extendedTopology = true;
                case 0x1f, 0x8000_0026, HYPERVISOR_TIMING -> {}
                case HYPERVISOR -> table.add(withHighestHypervisorLeaf(entry));
                case EXTENDED -> table.add(amdThreads ? withAmdTopologyLeaf(entry) : entry);
                case EXTENDED_FEATURES ->
                        table.add(amdThreads ? withTopologyExtensions(entry) : entry);
                case ADDRESS_SIZES -> table.add(isAmd() ? amdSizes(entry) : entry);
                case 0x8000_001d -> table.add(withSharing(entry));
                case AMD_TOPOLOGY -> table.add(amdTopology(entry, apicId));
                default -> table.add(entry);
            }
        }
        if (amdThreads && table.stream().noneMatch(e -> e.function() == AMD_TOPOLOGY)) {
            table.add(amdTopology(CpuidEntry.of(AMD_TOPOLOGY, 0, 0, 0, 0), apicId));
        }
        if (extendedTopology) {
            addExtendedTopology(table, apicId);
        }
        if (tscKilohertz > 0) {
            table.add(
                    CpuidEntry.of(HYPERVISOR_TIMING, (int) tscKilohertz, APIC_BUS_KILOHERTZ, 0, 0));
        }
        return List.copyOf(table);
    }

    /// How many bits a guest's physical addresses have.
    ///
    /// @param table from {@link org.kaval.kvm.Kvm#supportedCpuid}
    public static int physicalAddressBits(List<CpuidEntry> table) {
        return table.stream()
                .filter(e -> e.function() == ADDRESS_SIZES)
                .mapToInt(e -> e.eax() & 0xff)
                .filter(bits -> bits >= FEWEST_ADDRESS_BITS && bits <= MOST_ADDRESS_BITS)
                .findFirst()
                .orElse(FEWEST_ADDRESS_BITS);
    }

    /// Puts a processor's name into the table: KVM leaves these leaves empty.
    ///
    /// @param brand cut after 47 characters
    public static List<CpuidEntry> withBrand(List<CpuidEntry> table, String brand) {
        byte[] text = new byte[BRAND_LEAVES * BYTES_PER_LEAF];
        byte[] given = brand.getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(given, 0, text, 0, Math.min(given.length, text.length - 1));
        IntBuffer registers = ByteBuffer.wrap(text).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer();
        var result = new ArrayList<>(table);
        result.removeIf(e -> e.function() >= BRAND && e.function() < BRAND + BRAND_LEAVES);
        for (int i = 0; i < BRAND_LEAVES; i++) {
            result.add(
                    CpuidEntry.of(
                            BRAND + i,
                            registers.get(),
                            registers.get(),
                            registers.get(),
                            registers.get()));
        }
        return List.copyOf(result);
    }

    private boolean isAmd() {
        return supported.stream()
                .anyMatch(e ->
                        e.function() == 0 && (e.ebx() == VENDOR_AMD || e.ebx() == VENDOR_HYGON));
    }

    private CpuidEntry features(CpuidEntry e, int apicId) {
        int logicalProcessors = topology.cores() * topology.threads();
        int ebx = (e.ebx() & 0xffff) | logicalProcessors << 16 | apicId << 24;
        // the guest's operating system decides on OSXSAVE, in CR4
        int ecx = (e.ecx() | ECX1_HYPERVISOR) & ~(ECX1_OSXSAVE | ECX1_TSC_DEADLINE);
        ecx |= tscDeadline ? ECX1_TSC_DEADLINE : 0;
        int edx = topology.socketShift() > 0 ? e.edx() | EDX1_HTT : e.edx() & ~EDX1_HTT;
        return new CpuidEntry(e.function(), e.index(), e.flags(), e.eax(), ebx, ecx, edx);
    }

    /// Bits 31 to 26 have the cores of a socket less one, beside what {@link #withSharing} sets.
    private CpuidEntry intelCache(CpuidEntry entry) {
        CpuidEntry e = withSharing(entry);
        if (cacheType(e) == 0) {
            return e;
        }
        int coreIds = 1 << (topology.socketShift() - topology.threadBits());
        int eax = (e.eax() & 0x03ff_ffff) | (coreIds - 1) << 26;
        return new CpuidEntry(e.function(), e.index(), e.flags(), eax, e.ebx(), e.ecx(), e.edx());
    }

    /// Bits 25 to 14 have the vCPUs that share a cache less one: those of a core for levels 1 and
    /// 2, those of a socket for level 3.
    private CpuidEntry withSharing(CpuidEntry e) {
        if (cacheType(e) == 0) {
            return e;
        }
        int level = e.eax() >> 5 & 0x7;
        int shift = level < 3 ? topology.threadBits() : topology.socketShift();
        int eax = (e.eax() & ~0x03ff_c000) | ((1 << shift) - 1) << 14;
        return new CpuidEntry(e.function(), e.index(), e.flags(), eax, e.ebx(), e.ecx(), e.edx());
    }

    private static int cacheType(CpuidEntry e) {
        return e.eax() & 0x1f;
    }

    /// ECX: threads of a socket less one, and how many bits of the APIC id tell them apart.
    private CpuidEntry amdSizes(CpuidEntry e) {
        int ecx =
                (e.ecx() & ~0xf0ff)
                        | (topology.cores() * topology.threads() - 1)
                        | topology.socketShift() << 12;
        return new CpuidEntry(e.function(), e.index(), e.flags(), e.eax(), e.ebx(), ecx, e.edx());
    }

    private static CpuidEntry withAmdTopologyLeaf(CpuidEntry e) {
        int highest = Integer.compareUnsigned(e.eax(), AMD_TOPOLOGY) < 0 ? AMD_TOPOLOGY : e.eax();
        return new CpuidEntry(
                e.function(), e.index(), e.flags(), highest, e.ebx(), e.ecx(), e.edx());
    }

    private static CpuidEntry withTopologyExtensions(CpuidEntry e) {
        int ecx = e.ecx() | ECX_TOPOLOGY_EXTENSIONS;
        return new CpuidEntry(e.function(), e.index(), e.flags(), e.eax(), e.ebx(), ecx, e.edx());
    }

    /// APIC id; core id and threads of a core less one; node id.
    private CpuidEntry amdTopology(CpuidEntry e, int apicId) {
        int coreMask = (1 << (topology.socketShift() - topology.threadBits())) - 1;
        int coreId = apicId >> topology.threadBits() & coreMask;
        return new CpuidEntry(
                e.function(),
                e.index(),
                e.flags(),
                apicId,
                coreId | (topology.threads() - 1) << 8,
                apicId >> topology.socketShift(),
                0);
    }

    private void addExtendedTopology(List<CpuidEntry> table, int apicId) {
        int socketThreads = topology.cores() * topology.threads();
        table.add(level(0, topology.threadBits(), topology.threads(), LEVEL_THREAD, apicId));
        table.add(level(1, topology.socketShift(), socketThreads, LEVEL_CORE, apicId));
        table.add(level(2, 0, 0, 0, apicId));
    }

    private static CpuidEntry level(int index, int shift, int count, int type, int apicId) {
        return CpuidEntry.of(0xb, index, shift, count, type << 8 | index, apicId);
    }

    private CpuidEntry withHighestHypervisorLeaf(CpuidEntry e) {
        int highest = tscKilohertz > 0 ? HYPERVISOR_TIMING : e.eax();
        return new CpuidEntry(
                e.function(), e.index(), e.flags(), highest, e.ebx(), e.ecx(), e.edx());
    }
}
