/// The KVM API (`Documentation/virt/kvm/api.rst` of the Linux kernel), one type per kind of
/// descriptor: {@link org.kaval.kvm.Kvm} makes {@link org.kaval.kvm.KvmVm}s, which make {@link
/// org.kaval.kvm.KvmVcpu}s. A method is one ioctl and adds no policy.
///
/// ```java
/// try (Kvm kvm = Kvm.open();
///         KvmVm vm = kvm.createVm()) {
///     vm.setUserMemoryRegion(0, 0, 0, memory);
///     KvmVcpu vcpu = vm.createVcpu(0);
///     int reason = vcpu.run();
/// }
/// ```
///
/// Constants that occur in results are here too, with the kernel's names ({@link
/// org.kaval.kvm.KvmExit}). vCPU calls belong to the vCPU's thread, VM calls to any. Nothing is
/// null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.kvm;

import org.jspecify.annotations.NullMarked;
