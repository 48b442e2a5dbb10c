package org.kaval.machine.boot;

import java.io.IOException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.kaval.vcpu.EntryState;

/// Boots a kernel from a file, with an initrd and a command line, by the protocol that the file's
/// own bytes ask for:
///
/// | format                             | protocol                                              |
/// |------------------------------------|-------------------------------------------------------|
/// | Linux bzImage, 2.12 or later       | Linux's 64-bit boot protocol                          |
/// | ELF with a note of PVH             | PVH: 32-bit protected mode, start info in EBX         |
/// | Multiboot 1, in ELF or not         | Multiboot: 32-bit protected mode, information in EBX  |
/// | ELF, 64 bits                       | long mode at the entry point, zero page in RSI        |
/// | ELF, 32 bits                       | protected mode at the entry point, zero page in ESI   |
///
/// ```java
/// Vm.builder().boot(KernelBoot.of(Path.of("/boot/vmlinuz"))
///         .initrd(Path.of("/boot/initrd.img"))
///         .commandLine("console=ttyS0"))
/// ```
///
/// Immutable; the files are read when a machine is built. Nothing is copied through the heap, so
/// that an initrd may be larger than it.
public final class KernelBoot implements BootSource {
    private final Path kernel;
    private final @Nullable Path initrd;
    private final String commandLine;
    private final boolean fast;
    private final @Nullable Path cache;

    private KernelBoot(
            Path kernel,
            @Nullable Path initrd,
            String commandLine,
            boolean fast,
            @Nullable Path cache) {
        this.kernel = kernel;
        this.initrd = initrd;
        this.commandLine = commandLine;
        this.fast = fast;
        this.cache = cache;
    }

    /// A kernel without an initrd, with an empty command line.
    public static KernelBoot of(Path kernel) {
        return new KernelBoot(kernel, null, "", false, null);
    }

    /// The same with an initrd, which is not looked into.
    public KernelBoot initrd(Path file) {
        return new KernelBoot(kernel, file, commandLine, fast, cache);
    }

    /// The same with a command line.
    ///
    /// @param line goes to the kernel in UTF-8; how long it may be is up to the kernel
    /// @throws IllegalArgumentException if there is a zero character in it, at which a kernel would
    ///   take it to end
    public KernelBoot commandLine(String line) {
        if (line.indexOf('\0') >= 0) {
            throw new IllegalArgumentException("the command line has a zero character");
        }
        return new KernelBoot(kernel, initrd, line, fast, cache);
    }

    /// The same with a bzImage decompressed on the host, and kept for the next time. The kernel
    /// starts faster, and at the address for which it was linked: without a random offset (KASLR).
    /// Other formats are not compressed, and do not change.
    public KernelBoot fastBoot(boolean on) {
        return new KernelBoot(kernel, initrd, commandLine, on, cache);
    }

    /// The same with another directory for decompressed kernels; `$XDG_CACHE_HOME/kaval/kernels`
    /// unless said otherwise. It is made if there is none.
    public KernelBoot cache(Path directory) {
        return new KernelBoot(kernel, initrd, commandLine, fast, directory);
    }

    @Override
    public EntryState load(BootContext context) throws IOException {
        try (ImageFile file = ImageFile.open(kernel)) {
            return load(file, context);
        }
    }

    @Override
    public BootDescription description() {
        return new BootDescription(kernel, commandLine, !fast && isCompressed());
    }

    private boolean isCompressed() {
        try {
            return KernelFormat.of(kernel) == KernelFormat.BZIMAGE;
        } catch (IOException e) {
            return true; // it has been moved since it was booted: nothing is certain
        }
    }

    EntryState load(ImageFile file, BootContext context) throws IOException {
        KernelFormat format = KernelFormat.of(file);
        if (!format.isBootable()) {
            throw format.refuse(file);
        }
        var loading = new Loading(file, initrd, commandLine, context);
        return switch (format) {
            case BZIMAGE -> fast ? FastBoot.load(loading, cache()) : BzImage.load(loading);
            case MULTIBOOT -> loadMultiboot(loading);
            default -> loadElf(loading);
        };
    }

    private KernelCache cache() {
        return cache == null ? KernelCache.ofUser() : new KernelCache(cache);
    }

    private static EntryState loadMultiboot(Loading loading) throws IOException {
        ImageFile kernel = loading.kernel();
        MultibootHeader header =
                MultibootHeader.find(kernel.beginning(MultibootHeader.SEARCHED))
                        .orElseThrow(() -> KernelFormat.UNKNOWN.refuse(kernel)); // changed since
        return Multiboot.load(loading, header);
    }

    private static EntryState loadElf(Loading loading) throws IOException {
        ElfFile elf = ElfFile.read(loading.kernel());
        return elf.pvhEntry().isPresent()
                ? Pvh.load(loading, elf, elf.pvhEntry().get())
                : PlainElf.load(loading, elf);
    }
}
