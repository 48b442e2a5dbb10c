package org.kaval.machine.boot;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.EntryState;

/// ELF kernels with a PVH entry: Linux's `vmlinux`, NetBSD, FreeBSD, Xen (Xen,
/// `docs/misc/pvh.pandoc`, `xen/include/public/arch-x86/hvm/start_info.h`).
///
/// ```c
/// struct hvm_start_info {
///     uint32_t magic;          // 0x336ec578
///     uint32_t version;        // 1
///     uint32_t flags;          // 0
///     uint32_t nr_modules;     // 1 with an initrd, else 0
///     uint64_t modlist_paddr;
///     uint64_t cmdline_paddr;
///     uint64_t rsdp_paddr;
///     uint64_t memmap_paddr;
///     uint32_t memmap_entries;
///     uint32_t reserved;
/// };
/// ```
///
/// The kernel is entered in 32-bit protected mode without paging, with its address in EBX.
final class Pvh {
    static final int MAGIC = 0x336e_c578;

    // struct hvm_start_info
    private static final int VERSION = 4;
    private static final int MODULES = 12;
    private static final int MODULE_LIST = 16;
    private static final int COMMAND_LINE = 24;
    private static final int RSDP = 32;
    private static final int MEMORY_MAP = 40;
    private static final int MEMORY_MAP_ENTRIES = 48;
    private static final int START_INFO_SIZE = 56;

    // struct hvm_modlist_entry
    private static final int MODULE_SIZE = 8;

    // struct hvm_memmap_table_entry
    private static final int ENTRY_SIZE = 8;
    private static final int ENTRY_TYPE = 16;
    private static final int ENTRY_LENGTH = 24;

    private Pvh() {}

    /// Puts kernel, initrd and start info into memory.
    ///
    /// @param entry from the kernel's note
    static EntryState load(Loading loading, ElfFile elf, EntryPoint entry) throws IOException {
        Segments segments = Segments.load(loading, loading.kernel(), elf.segments());
        long start = segments.physical(entry);
        long commandLine = loading.writeCommandLine(BootLayout.MAX_COMMAND_LINE, 0);
        GuestRange initrd = loading.loadInitrd(Loading.FOUR_GIB);
        GuestMemory memory = loading.memory();
        return new EntryState.Protected32(
                (int) start,
                (int) BootLayout.STACK.end(),
                BootLayout.writeGdt32(memory),
                new EntryState.Arguments(0, writeStartInfo(loading, commandLine, initrd), 0));
    }

    private static long writeStartInfo(
            Loading loading, long commandLine, @Nullable GuestRange initrd) {
        GuestMemory memory = loading.memory();
        long info = BootLayout.START_INFO.base();
        memory.writeLe32(info, MAGIC);
        memory.writeLe32(info + VERSION, 1);
        if (initrd != null) {
            long module = info + START_INFO_SIZE;
            memory.writeLe64(module, initrd.base());
            memory.writeLe64(module + MODULE_SIZE, initrd.size());
            memory.writeLe32(info + MODULES, 1);
            memory.writeLe64(info + MODULE_LIST, module);
        }
        memory.writeLe64(info + COMMAND_LINE, commandLine);
        memory.writeLe64(info + RSDP, loading.context().acpiRsdp());
        memory.writeLe64(info + MEMORY_MAP, writeMemoryMap(loading));
        memory.writeLe32(info + MEMORY_MAP_ENTRIES, loading.map().entries().size());
        return info;
    }

    private static long writeMemoryMap(Loading loading) {
        GuestMemory memory = loading.memory();
        long at = BootLayout.MEMORY_MAP.base();
        for (MemoryMap.Entry entry : loading.map().entries()) {
            memory.writeLe64(at, entry.range().base());
            memory.writeLe64(at + ENTRY_SIZE, entry.range().size());
            memory.writeLe32(at + ENTRY_TYPE, entry.type().code());
            at += ENTRY_LENGTH;
        }
        return BootLayout.MEMORY_MAP.base();
    }
}
