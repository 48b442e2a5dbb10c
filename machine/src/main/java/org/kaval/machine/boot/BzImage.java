package org.kaval.machine.boot;

import java.io.IOException;
import java.util.OptionalLong;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.EntryState;

/// Linux as distributors ship it, by the 64-bit boot protocol (`Documentation/arch/x86/boot.rst`).
///
/// The kernel runs at the address that it prefers, or, if it is relocatable, at the next one above
/// that is free: below it moves itself up anyway. There it has to itself as much as it asks for
/// (`init_size`). The initrd is as high as the kernel allows.
final class BzImage {
    /// Where `startup_64` is.
    private static final int ENTRY = 0x200;

    private BzImage() {}

    /// Puts kernel, initrd and zero page into memory.
    static EntryState load(Loading loading) throws IOException {
        ImageFile kernel = loading.kernel();
        BzImageHeader header = BzImageHeader.read(kernel);
        long commandLine =
                loading.writeCommandLine(header.commandLineSize(), BzImageHeader.CMDLINE_SIZE);
        GuestRange place = place(loading, header);
        loading.free().take(place);
        kernel.copyInto(
                loading.memory(),
                place.base(),
                header.kernelOffset(),
                header.kernelSize(),
                "the kernel");
        GuestRange initrd = loading.loadInitrd(initrdEnds(header));
        long zeroPage =
                new BootParams(loading.context(), loading.map())
                        .header(kernel, header)
                        .finish(place.base(), commandLine, initrd);
        return enter(loading, place.base() + ENTRY, zeroPage);
    }

    /// Where the kernel's memory is.
    static GuestRange place(Loading loading, BzImageHeader header) throws BootFileException {
        long preferred = header.prefAddress();
        long size = roundUp(Math.max(header.initSize(), header.kernelSize()));
        if (preferred < MemoryMap.MEBIBYTE || preferred >= Loading.FOUR_GIB) {
            throw loading.kernel()
                    .error(
                            BzImageHeader.PREF_ADDRESS,
                            "preferred address 0x%x, expected 0x%x to 0x%x"
                                    .formatted(
                                            preferred, MemoryMap.MEBIBYTE, Loading.FOUR_GIB - 1));
        }
        FreeMemory free = loading.free();
        OptionalLong base =
                header.relocatable()
                        ? free.lowest(size, header.alignment(), preferred, Loading.FOUR_GIB)
                        : fixed(free, preferred, size);
        if (base.isEmpty()) {
            throw loading.kernel()
                    .error(
                            BzImageHeader.INIT_SIZE,
                            "the kernel needs 0x%x bytes %s 0x%x, expected as much free memory in %d MiB"
                                    .formatted(
                                            size,
                                            header.relocatable() ? "above" : "at",
                                            preferred,
                                            loading.memory().size() >> 20));
        }
        return new GuestRange(base.getAsLong(), size);
    }

    private static OptionalLong fixed(FreeMemory free, long base, long size) {
        return size <= Loading.FOUR_GIB - base && free.holds(base, size)
                ? OptionalLong.of(base)
                : OptionalLong.empty();
    }

    /// Behind which addresses the initrd must not reach, the best one first.
    static long[] initrdEnds(BzImageHeader header) {
        long end = Math.min(header.initrdMax() + 1, Loading.FOUR_GIB);
        return header.canBeAbove4Gib()
                ? new long[] {end, Loading.FOUR_GIB, Long.MAX_VALUE}
                : new long[] {end};
    }

    /// The state in which a 64-bit Linux is entered.
    static EntryState enter(Loading loading, long entry, long zeroPage) {
        return new EntryState.Long64(
                entry,
                BootLayout.STACK.end(),
                BootLayout.writeGdt64(loading.memory()),
                BootLayout.writePageTables(loading.memory()),
                new EntryState.Arguments(0, 0, zeroPage));
    }

    private static long roundUp(long size) {
        return (size + Loading.PAGE - 1) & -Loading.PAGE;
    }
}
