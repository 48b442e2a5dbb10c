/// How a guest gets into memory and with which registers it begins.
///
/// {@link org.kaval.machine.boot.KernelBoot} boots kernels by the protocol that their own bytes ask
/// for: Linux's 64-bit boot protocol, PVH, Multiboot, or the entry of an ELF file. {@link
/// org.kaval.machine.boot.FlatPayload} is for tests. Each is a {@link
/// org.kaval.machine.boot.BootSource}, of which a program may have its own: what it gets is a
/// {@link org.kaval.machine.boot.BootContext}.
///
/// ```java
/// Vm.builder().boot(KernelBoot.of(Path.of("/boot/vmlinuz"))
///         .initrd(Path.of("/boot/initrd.img"))
///         .commandLine("console=ttyS0")
///         .fastBoot(true))
/// ```
///
/// A file that is not what it should be is a {@link org.kaval.machine.boot.BootFileException} with
/// one line: the file, the offset, what was found and what was expected. Everything is checked
/// before it is used, and sizes before anything is read or allocated.
///
/// Sources are immutable and may be used by any thread, for many machines. Nothing is null unless a
/// type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.machine.boot;

import org.jspecify.annotations.NullMarked;
