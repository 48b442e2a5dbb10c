package org.kaval.kvm;

import java.lang.foreign.MemorySegment;
import org.kaval.kvm.abi.kvm_segment;

/// A segment register with its hidden part (`struct kvm_segment`; Intel SDM vol. 3A §3.4.3).
///
/// @param limit in bytes, whatever the granularity
/// @param type the four bits of the descriptor's type field
/// @param present bit P
/// @param dpl privilege level, 0 to 3
/// @param defaultSize bit D/B: operands of 32 bits
/// @param codeOrData bit S: code or data, not a system segment
/// @param longMode bit L: 64-bit code
/// @param granularity bit G: the descriptor counts its limit in pages
public record KvmSegment(
        long base,
        int limit,
        int selector,
        int type,
        boolean present,
        int dpl,
        boolean defaultSize,
        boolean codeOrData,
        boolean longMode,
        boolean granularity) {

    static KvmSegment read(MemorySegment s) {
        return new KvmSegment(
                kvm_segment.base(s),
                kvm_segment.limit(s),
                Short.toUnsignedInt(kvm_segment.selector(s)),
                kvm_segment.type(s),
                kvm_segment.present(s) != 0,
                kvm_segment.dpl(s),
                kvm_segment.db(s) != 0,
                kvm_segment.s(s) != 0,
                kvm_segment.l(s) != 0,
                kvm_segment.g(s) != 0);
    }

    void write(MemorySegment s) {
        kvm_segment.base(s, base);
        kvm_segment.limit(s, limit);
        kvm_segment.selector(s, (short) selector);
        kvm_segment.type(s, (byte) type);
        kvm_segment.present(s, bit(present));
        kvm_segment.dpl(s, (byte) dpl);
        kvm_segment.db(s, bit(defaultSize));
        kvm_segment.s(s, bit(codeOrData));
        kvm_segment.l(s, bit(longMode));
        kvm_segment.g(s, bit(granularity));
        kvm_segment.avl(s, (byte) 0);
        kvm_segment.unusable(s, bit(!present));
    }

    private static byte bit(boolean value) {
        return (byte) (value ? 1 : 0);
    }

    @Override
    public String toString() {
        return "%04x:0x%x+0x%x".formatted(selector, base, limit);
    }
}
