package org.kaval.machine.boot;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.IOException;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.EntryState;

/// Kernels with a Multiboot header (Multiboot Specification 0.6.96): entered in 32-bit protected
/// mode without paging, with a magic number in EAX and this in EBX:
///
/// | offset | field            | what it gets                                           |
/// |-------:|------------------|--------------------------------------------------------|
/// |      0 | flags            | which of the others there are                          |
/// |      4 | mem_lower        | KiB of usable memory from 0                            |
/// |      8 | mem_upper        | KiB of usable memory from 1 MiB to the first gap       |
/// |     16 | cmdline          | the command line as given, without the kernel's name   |
/// |     20 | mods_count       | 1 with an initrd, else 0                               |
/// |     24 | mods_addr        | the initrd: where it begins, where it ends, no name    |
/// |     44 | mmap_length      | bytes of the memory map                                |
/// |     48 | mmap_addr        | the memory map                                         |
/// |     64 | boot_loader_name | `Kaval`                                                |
///
/// A kernel that is an ELF file without addresses in its header may be of 64 bits, too; it is
/// entered in 32-bit mode as well.
final class Multiboot {
    static final int LOADER_MAGIC = 0x2bad_b002;

    private static final int MEM_LOWER = 4;
    private static final int MEM_UPPER = 8;
    private static final int COMMAND_LINE = 16;
    private static final int MODULE_COUNT = 20;
    private static final int MODULES = 24;
    private static final int MAP_LENGTH = 44;
    private static final int MAP = 48;
    private static final int LOADER_NAME = 64;
    private static final int INFO_SIZE = 0x80;

    private static final int HAS_MEMORY = 1;
    private static final int HAS_COMMAND_LINE = 1 << 2;
    private static final int HAS_MODULES = 1 << 3;
    private static final int HAS_MAP = 1 << 6;
    private static final int HAS_LOADER_NAME = 1 << 9;

    private static final int MODULE_SIZE = 16;
    private static final int MODULE_END = 4;
    private static final int MODULE_STRING = 8;

    // an entry of the memory map; its first field does not count itself
    private static final int ENTRY_BASE = 4;
    private static final int ENTRY_LENGTH = 12;
    private static final int ENTRY_TYPE = 20;
    private static final int ENTRY_SIZE = 24;

    private static final byte[] NAME = "Kaval\0".getBytes(US_ASCII);

    private Multiboot() {}

    /// Puts kernel, initrd and information into memory.
    static EntryState load(Loading loading, MultibootHeader header) throws IOException {
        ImageFile kernel = loading.kernel();
        header.check(kernel);
        long start = header.hasAddresses() ? loadFlat(loading, header) : loadElf(loading, header);
        long commandLine = loading.writeCommandLine(BootLayout.MAX_COMMAND_LINE, 0);
        GuestRange initrd = loading.loadInitrd(Loading.FOUR_GIB);
        return new EntryState.Protected32(
                (int) start,
                (int) BootLayout.STACK.end(),
                BootLayout.writeGdt32(loading.memory()),
                new EntryState.Arguments(
                        LOADER_MAGIC, writeInformation(loading, commandLine, initrd), 0));
    }

    private static long loadElf(Loading loading, MultibootHeader header) throws IOException {
        ImageFile kernel = loading.kernel();
        if (!ElfFile.isIn(kernel.beginning(Integer.BYTES))) {
            throw kernel.error(
                    header.offset() + MultibootHeader.FLAGS,
                    "no addresses in the Multiboot header, expected them (bit 16) or an ELF file");
        }
        ElfFile elf = ElfFile.read(kernel);
        return Segments.load(loading, kernel, elf.segments()).physical(elf.entry());
    }

    private static long loadFlat(Loading loading, MultibootHeader header) throws IOException {
        ImageFile kernel = loading.kernel();
        long base = header.address(MultibootHeader.LOAD_ADDRESS);
        long offset = header.offset() - (header.address(MultibootHeader.HEADER_ADDRESS) - base);
        if (offset < 0 || offset > header.offset()) {
            throw kernel.error(
                    header.offset() + MultibootHeader.LOAD_ADDRESS,
                    "load address 0x%x, expected at most 0x%x below the header's 0x%x"
                            .formatted(
                                    base,
                                    header.offset(),
                                    header.address(MultibootHeader.HEADER_ADDRESS)));
        }
        long end = header.address(MultibootHeader.LOAD_END);
        long fileSize = end == 0 ? kernel.size() - offset : end - base;
        if (fileSize <= 0) {
            throw kernel.error(
                    header.offset() + MultibootHeader.LOAD_END,
                    "load end address 0x%x, expected one above 0x%x".formatted(end, base));
        }
        kernel.require(offset, fileSize, "the kernel");
        long bssEnd = header.address(MultibootHeader.BSS_END);
        long size = Math.max(fileSize, bssEnd - base);
        var segment =
                new Segment(
                        0,
                        header.offset() + MultibootHeader.LOAD_ADDRESS,
                        offset,
                        fileSize,
                        base,
                        base,
                        size);
        var entry =
                new EntryPoint(
                        header.address(MultibootHeader.ENTRY),
                        header.offset() + MultibootHeader.ENTRY);
        return Segments.load(loading, kernel, List.of(segment)).physical(entry);
    }

    private static long writeInformation(
            Loading loading, long commandLine, @Nullable GuestRange initrd) {
        GuestMemory memory = loading.memory();
        long info = BootLayout.START_INFO.base();
        long modules = info + INFO_SIZE;
        long name = modules + MODULE_SIZE;
        memory.writeLe32(
                info, HAS_MEMORY | HAS_COMMAND_LINE | HAS_MODULES | HAS_MAP | HAS_LOADER_NAME);
        memory.writeLe32(info + MEM_LOWER, kibibytesFrom(0, loading.map()));
        memory.writeLe32(info + MEM_UPPER, kibibytesFrom(MemoryMap.MEBIBYTE, loading.map()));
        memory.writeLe32(info + COMMAND_LINE, (int) commandLine);
        memory.writeLe32(info + MODULES, (int) modules);
        if (initrd != null) {
            memory.writeLe32(info + MODULE_COUNT, 1);
            memory.writeLe32(modules, (int) initrd.base());
            memory.writeLe32(modules + MODULE_END, (int) initrd.end());
            memory.writeLe32(modules + MODULE_STRING, (int) name + NAME.length - 1);
        }
        memory.write(name, NAME);
        memory.writeLe32(info + LOADER_NAME, (int) name);
        memory.writeLe32(info + MAP, (int) BootLayout.MEMORY_MAP.base());
        memory.writeLe32(info + MAP_LENGTH, writeMemoryMap(loading));
        return info;
    }

    /// How much usable memory there is from `base` on, in KiB.
    private static int kibibytesFrom(long base, MemoryMap map) {
        return map.usable().stream()
                .filter(range -> range.base() == base)
                .findFirst()
                .map(range -> (int) (range.size() >> 10))
                .orElse(0);
    }

    private static int writeMemoryMap(Loading loading) {
        GuestMemory memory = loading.memory();
        long at = BootLayout.MEMORY_MAP.base();
        for (MemoryMap.Entry entry : loading.map().entries()) {
            memory.writeLe32(at, ENTRY_SIZE - ENTRY_BASE);
            memory.writeLe64(at + ENTRY_BASE, entry.range().base());
            memory.writeLe64(at + ENTRY_LENGTH, entry.range().size());
            memory.writeLe32(at + ENTRY_TYPE, entry.type().code());
            at += ENTRY_SIZE;
        }
        return (int) (at - BootLayout.MEMORY_MAP.base());
    }
}
