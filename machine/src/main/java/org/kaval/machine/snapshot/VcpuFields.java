package org.kaval.machine.snapshot;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.kaval.devices.StateException;
import org.kaval.kvm.CpuidEntry;
import org.kaval.kvm.KvmMsr;
import org.kaval.kvm.KvmVcpuState;
import org.kaval.vcpu.VcpuState;

/// A vCPU's state as a tree of fields: the kernel's structures as bytes under their names, MSRs by
/// their numbers, CPUID as its table of seven little-endian numbers an entry.
public final class VcpuFields {
    private static final String XSAVE = "XSAVE";
    private static final String MSRS = "MSRS";
    private static final String CPUID = "CPUID";
    private static final int CPUID_ENTRY = 7 * Integer.BYTES;

    private VcpuFields() {}

    public static Map<String, Object> of(VcpuState state) {
        var fields = new LinkedHashMap<String, Object>();
        for (KvmVcpuState part : KvmVcpuState.values()) {
            byte[] bytes = state.parts().get(part);
            if (bytes != null) {
                fields.put(part.name(), bytes);
            }
        }
        fields.put(XSAVE, state.xsave().bytes());
        var msrs = new LinkedHashMap<String, Object>();
        state.msrs().forEach(msr -> msrs.put("0x%x".formatted(msr.index()), msr.value()));
        fields.put(MSRS, msrs);
        ByteBuffer table =
                ByteBuffer.allocate(state.cpuid().size() * CPUID_ENTRY)
                        .order(ByteOrder.LITTLE_ENDIAN);
        for (CpuidEntry e : state.cpuid()) {
            table.putInt(e.function()).putInt(e.index()).putInt(e.flags());
            table.putInt(e.eax()).putInt(e.ebx()).putInt(e.ecx()).putInt(e.edx());
        }
        fields.put(CPUID, table.array());
        return fields;
    }

    /// @throws StateException if a part is missing, or no such part
    public static VcpuState from(Map<String, Object> fields) {
        var parts = new EnumMap<KvmVcpuState, byte[]>(KvmVcpuState.class);
        for (KvmVcpuState part : KvmVcpuState.values()) {
            parts.put(part, bytes(fields, part.name()));
        }
        var msrs = new ArrayList<KvmMsr>();
        if (!(fields.get(MSRS) instanceof Map<?, ?> values)) {
            throw new StateException("a vCPU without " + MSRS);
        }
        values.forEach((index, value) -> msrs.add(msr(String.valueOf(index), value)));
        return new VcpuState(
                parts,
                new VcpuState.XsaveArea(bytes(fields, XSAVE)),
                msrs,
                cpuid(bytes(fields, CPUID)));
    }

    private static byte[] bytes(Map<String, Object> fields, String name) {
        if (!(fields.get(name) instanceof byte[] bytes)) {
            throw new StateException("a vCPU without " + name);
        }
        return bytes;
    }

    private static KvmMsr msr(String index, Object value) {
        try {
            if (value instanceof Long number) {
                return new KvmMsr(Long.decode(index).intValue(), number);
            }
        } catch (NumberFormatException _) {
            // said below
        }
        throw new StateException("MSR %s is no MSR".formatted(index));
    }

    private static List<CpuidEntry> cpuid(byte[] bytes) {
        if (bytes.length % CPUID_ENTRY != 0) {
            throw new StateException("CPUID is %d bytes".formatted(bytes.length));
        }
        ByteBuffer table = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        var entries = new ArrayList<CpuidEntry>();
        while (table.hasRemaining()) {
            entries.add(
                    new CpuidEntry(
                            table.getInt(),
                            table.getInt(),
                            table.getInt(),
                            table.getInt(),
                            table.getInt(),
                            table.getInt(),
                            table.getInt()));
        }
        return entries;
    }
}
