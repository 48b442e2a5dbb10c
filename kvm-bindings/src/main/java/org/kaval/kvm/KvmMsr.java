package org.kaval.kvm;

/// A model-specific register and its value (`struct kvm_msr_entry`).
///
/// @param index its number (Intel SDM vol. 4, AMD APM vol. 2 appendix A)
public record KvmMsr(int index, long value) {
    @Override
    public String toString() {
        return "MSR 0x%x=0x%x".formatted(index, value);
    }
}
