package org.kaval.kvm;

/// Where the GDT or the IDT is (`struct kvm_dtable`).
///
/// @param base guest-linear address
/// @param limit size in bytes less one, 0 to 0xffff
public record KvmDescriptorTable(long base, int limit) {
    public KvmDescriptorTable {
        if (limit < 0 || limit > 0xffff) {
            throw new IllegalArgumentException("limit 0x%x".formatted(limit));
        }
    }

    @Override
    public String toString() {
        return "0x%x+0x%x".formatted(base, limit);
    }
}
