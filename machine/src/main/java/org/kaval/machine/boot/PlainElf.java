package org.kaval.machine.boot;

import java.io.IOException;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.EntryState;

/// ELF kernels without any boot protocol in them, entered at their entry point.
///
/// Those of 64 bits are entered in long mode with the first 4 GiB mapped to themselves, those of 32
/// bits in protected mode without paging. Both find Linux's zero page at RSI: a `vmlinux` is such a
/// kernel (`Documentation/arch/x86/boot.rst`, 64-bit and 32-bit boot protocol), and others may use
/// it or not.
final class PlainElf {
    private PlainElf() {}

    /// Puts kernel, initrd and zero page into memory.
    static EntryState load(Loading loading, ElfFile elf) throws IOException {
        Segments segments = Segments.load(loading, loading.kernel(), elf.segments());
        long entry = segments.physical(elf.entry());
        long commandLine = loading.writeCommandLine(BootLayout.MAX_COMMAND_LINE, 0);
        GuestRange initrd = loading.loadInitrd(Loading.FOUR_GIB);
        long zeroPage =
                new BootParams(loading.context(), loading.map())
                        .header()
                        .finish(entry, commandLine, initrd);
        if (elf.is64()) {
            return BzImage.enter(loading, entry, zeroPage);
        }
        return new EntryState.Protected32(
                (int) entry,
                (int) BootLayout.STACK.end(),
                BootLayout.writeGdt32(loading.memory()),
                new EntryState.Arguments(0, 0, zeroPage));
    }
}
