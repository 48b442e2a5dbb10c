/// The nested host: a Linux with hardware virtualization, on machines that have none.
///
/// {@link org.kaval.nested.NestedHost} is QEMU's software CPU with AMD-V, in which an unmodified
/// Debian kernel loads `kvm-amd`; programs started there find a `/dev/kvm` of the AMD-V kind. It
/// needs neither root nor KVM:
///
/// ```java
/// try (NestedHost host = NestedHost.start(new NestedHost.Settings())) {
///     NestedProcess process = host.exec(List.of("ls", "-l", "/dev/kvm"), System.out, System.err);
///     int status = process.await(Duration.ofSeconds(10));
/// }
/// ```
///
/// Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.nested;

import org.jspecify.annotations.NullMarked;
