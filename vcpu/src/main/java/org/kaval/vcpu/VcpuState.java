package org.kaval.vcpu;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntPredicate;
import java.util.function.LongSupplier;
import org.kaval.kvm.CpuidEntry;
import org.kaval.kvm.KvmMsr;
import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVcpuState;

/// All of a vCPU that a guest can see, for a snapshot: what is read from one and written to another
/// makes the guest go on there.
///
/// @param parts the structures of fixed size
/// @param xsave floating-point and vector registers
/// @param msrs all that the kernel says belong to the state
/// @param cpuid what the guest was told about its processor
public record VcpuState(
        Map<KvmVcpuState, byte[]> parts,
        XsaveArea xsave,
        List<KvmMsr> msrs,
        List<CpuidEntry> cpuid) {
    /// IA32_TIME_STAMP_COUNTER.
    private static final int TSC = 0x10;

    /// IA32_TSC_DEADLINE: armed only once the APIC and the TSC are what they were.
    private static final int TSC_DEADLINE = 0x6e0;

    public VcpuState {
        parts = Map.copyOf(parts);
        msrs = List.copyOf(msrs);
        cpuid = List.copyOf(cpuid);
    }

    /// The bytes of the XSAVE area, which is as large as the processor's features make it.
    public static final class XsaveArea {
        private final byte[] bytes;

        public XsaveArea(byte[] bytes) {
            this.bytes = bytes.clone();
        }

        public byte[] bytes() {
            return bytes.clone();
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof XsaveArea area && Arrays.equals(bytes, area.bytes);
        }

        @Override
        public int hashCode() {
            return Arrays.hashCode(bytes);
        }
    }

    /// Reads the state; on the vCPU's thread, while it is paused.
    ///
    /// @param xsaveSize what {@link org.kaval.kvm.Capability#XSAVE2} is worth for the machine
    /// @param msrIndices from {@link org.kaval.kvm.Kvm#msrIndexList}
    /// @param passed what the time-stamp counter has gone on since the time of which the state is
    ///   to be; asked right after that is read
    public static VcpuState read(
            KvmVcpu vcpu, int xsaveSize, List<Integer> msrIndices, LongSupplier passed)
            throws IOException {
        var parts = new EnumMap<KvmVcpuState, byte[]>(KvmVcpuState.class);
        // MP_STATE is the first: reading it takes in an INIT or SIPI that is on its way
        for (KvmVcpuState part : KvmVcpuState.values()) {
            parts.put(part, vcpu.getState(part));
        }
        var msrs = new ArrayList<KvmMsr>();
        for (KvmMsr msr : vcpu.getMsrs(msrIndices)) {
            msrs.add(msr.index() == TSC ? tscBefore(vcpu, passed) : msr);
        }
        return new VcpuState(parts, new XsaveArea(vcpu.getXsave(xsaveSize)), msrs, vcpu.getCpuid());
    }

    private static KvmMsr tscBefore(KvmVcpu vcpu, LongSupplier passed) throws IOException {
        long now = vcpu.getMsrs(List.of(TSC)).getFirst().value();
        return new KvmMsr(TSC, now - passed.getAsLong());
    }

    /// Writes the state to a vCPU that has not run yet; on its thread.
    ///
    /// @param passed what to add to the time-stamp counter; asked right before that is written
    /// @throws IOException if the kernel refused a part, or an MSR that the other host had
    public void write(KvmVcpu vcpu, int xsaveSize, LongSupplier passed) throws IOException {
        vcpu.setCpuid(cpuid);
        write(vcpu, KvmVcpuState.MP_STATE);
        write(vcpu, KvmVcpuState.REGS);
        write(vcpu, KvmVcpuState.SREGS2);
        write(vcpu, KvmVcpuState.XCRS); // says which parts of the XSAVE area mean something
        vcpu.setXsave(xsaveSize, xsave.bytes);
        write(vcpu, KvmVcpuState.DEBUGREGS);
        write(vcpu, KvmVcpuState.LAPIC); // in the mode that SREGS2's APIC base says
        writeMsrs(vcpu, msrs(index -> index != TSC && index != TSC_DEADLINE));
        for (KvmMsr tsc : msrs(index -> index == TSC)) {
            writeMsrs(vcpu, List.of(new KvmMsr(TSC, tsc.value() + passed.getAsLong())));
        }
        writeMsrs(vcpu, msrs(index -> index == TSC_DEADLINE));
        write(vcpu, KvmVcpuState.VCPU_EVENTS); // last: other parts may clear what is pending
    }

    private List<KvmMsr> msrs(IntPredicate which) {
        return msrs.stream().filter(msr -> which.test(msr.index())).toList();
    }

    private void write(KvmVcpu vcpu, KvmVcpuState part) throws IOException {
        byte[] bytes = parts.get(part);
        if (bytes == null) {
            throw new IOException("the state has no " + part);
        }
        vcpu.setState(part, bytes);
    }

    private static void writeMsrs(KvmVcpu vcpu, List<KvmMsr> values) throws IOException {
        List<KvmMsr> refused = vcpu.setMsrs(values);
        if (!refused.isEmpty()) {
            throw new IOException("this host refuses " + refused);
        }
    }
}
