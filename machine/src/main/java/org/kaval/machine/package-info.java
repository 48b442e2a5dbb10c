/// Virtual machines for Java programs.
///
/// ```java
/// var output = new ByteArrayOutputStream();
/// try (Vm vm = Vm.builder()
///         .memory(64 << 20)
///         .boot(FlatPayload.of(code, Mode.LONG64))
///         .serialOutput(output)
///         .build()) {
///     vm.start();
///     VmOutcome outcome = vm.awaitExit(Duration.ofSeconds(10));
/// }
/// ```
///
/// A {@link org.kaval.machine.Vm} is independent of every other in the process, and takes nothing
/// of the process over: it has its own threads, which end with it. How a machine ended is a value
/// ({@link org.kaval.machine.VmOutcome}); what keeps one from being built is an exception that
/// names the setting ({@link org.kaval.machine.ConfigException}) or what the host lacks ({@link
/// org.kaval.linux.HostUnsupportedException}).
///
/// Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.machine;

import org.jspecify.annotations.NullMarked;
