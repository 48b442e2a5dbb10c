package org.kaval.machine.boot;

import java.io.IOException;
import java.security.SecureRandom;
import org.jspecify.annotations.Nullable;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// Writes Linux's zero page (`struct boot_params`, `Documentation/arch/x86/zero-page.rst`) and the
/// list of `struct setup_data` behind it.
///
/// | offset | size   | field              | what it gets                                        |
/// |-------:|-------:|--------------------|-----------------------------------------------------|
/// | 0x070  | 8      | acpi_rsdp_addr     | where the ACPI tables begin                         |
/// | 0x0c0  | 4      | ext_ramdisk_image  | upper half of the initrd's address                  |
/// | 0x0c4  | 4      | ext_ramdisk_size   | upper half of its size                              |
/// | 0x1e8  | 1      | e820_entries       | how many entries the memory map has                 |
/// | 0x1f1  |        | hdr                | the kernel's setup header, and in it:               |
/// | 0x210  | 1      | hdr.type_of_loader | 0xff: none that has a number                        |
/// | 0x214  | 4      | hdr.code32_start   | where the kernel is                                 |
/// | 0x218  | 4      | hdr.ramdisk_image  | lower half of the initrd's address                  |
/// | 0x21c  | 4      | hdr.ramdisk_size   | lower half of its size                              |
/// | 0x228  | 4      | hdr.cmd_line_ptr   | where the command line is                           |
/// | 0x250  | 8      | hdr.setup_data     | 32 random bytes (`SETUP_RNG_SEED`), which the kernel wipes |
/// | 0x2d0  | 20 each| e820_table         | the memory map                                      |
///
/// Everything else is 0: there is no screen, no EFI and no BIOS.
final class BootParams {
    static final int ACPI_RSDP_ADDR = 0x070;
    static final int EXT_RAMDISK_IMAGE = 0x0c0;
    static final int EXT_RAMDISK_SIZE = 0x0c4;
    static final int E820_ENTRIES = 0x1e8;
    static final int TYPE_OF_LOADER = 0x210;
    static final int CODE32_START = 0x214;
    static final int RAMDISK_IMAGE = 0x218;
    static final int RAMDISK_SIZE = 0x21c;
    static final int CMD_LINE_PTR = 0x228;
    static final int SETUP_DATA = 0x250;
    static final int E820_TABLE = 0x2d0;

    // struct boot_e820_entry
    static final int E820_SIZE = 8;
    static final int E820_TYPE = 16;
    static final int E820_ENTRY_SIZE = 20;

    // struct setup_data
    static final int DATA_TYPE = 8;
    static final int DATA_LENGTH = 12;
    static final int DATA = 16;

    static final int SETUP_RNG_SEED = 9;
    private static final int SEED_SIZE = 32;

    private static final int UNKNOWN_LOADER = 0xff;

    private final GuestMemory memory;
    private final long base = BootLayout.ZERO_PAGE.base();

    /// Begins with the memory map, the ACPI tables and the random seed.
    BootParams(BootContext context, MemoryMap map) {
        memory = context.memory();
        memory.writeLe64(base + ACPI_RSDP_ADDR, context.acpiRsdp());
        memory.writeByte(base + E820_ENTRIES, map.entries().size());
        long entry = base + E820_TABLE;
        for (MemoryMap.Entry e : map.entries()) {
            memory.writeLe64(entry, e.range().base());
            memory.writeLe64(entry + E820_SIZE, e.range().size());
            memory.writeLe32(entry + E820_TYPE, e.type().code());
            entry += E820_ENTRY_SIZE;
        }
    }

    /// Takes over the setup header of a bzImage.
    BootParams header(ImageFile kernel, BzImageHeader header) throws IOException {
        int offset = BzImageHeader.OFFSET;
        kernel.copyInto(memory, base + offset, offset, header.end() - offset, "the setup header");
        return this;
    }

    /// Makes up a setup header for a kernel that has none.
    BootParams header() {
        memory.writeLe16(base + BzImageHeader.BOOT_FLAG, BzImageHeader.BOOT_FLAG_VALUE);
        memory.writeLe32(base + BzImageHeader.HEADER, BzImageHeader.HEADER_VALUE);
        memory.writeLe16(base + BzImageHeader.VERSION, BzImageHeader.VERSION_64_BIT);
        memory.writeByte(base + BzImageHeader.LOADFLAGS, BzImageHeader.LOADED_HIGH);
        return this;
    }

    /// Writes what the loader has to say in the setup header, which is there already.
    ///
    /// @param kernel where it is, below 4 GiB
    /// @param commandLine its address, below 4 GiB
    /// @return the address of the zero page
    long finish(long kernel, long commandLine, @Nullable GuestRange initrd) {
        memory.writeByte(base + TYPE_OF_LOADER, UNKNOWN_LOADER);
        memory.writeLe32(base + CODE32_START, (int) kernel);
        memory.writeLe32(base + CMD_LINE_PTR, (int) commandLine);
        long image = initrd == null ? 0 : initrd.base();
        long size = initrd == null ? 0 : initrd.size();
        memory.writeLe32(base + RAMDISK_IMAGE, (int) image);
        memory.writeLe32(base + RAMDISK_SIZE, (int) size);
        memory.writeLe32(base + EXT_RAMDISK_IMAGE, (int) (image >>> 32));
        memory.writeLe32(base + EXT_RAMDISK_SIZE, (int) (size >>> 32));
        memory.writeLe64(base + SETUP_DATA, writeSeed());
        return base;
    }

    private long writeSeed() {
        long data = BootLayout.SETUP_DATA.base();
        byte[] seed = new byte[SEED_SIZE];
        new SecureRandom().nextBytes(seed);
        memory.writeLe64(data, 0); // the last of the list
        memory.writeLe32(data + DATA_TYPE, SETUP_RNG_SEED);
        memory.writeLe32(data + DATA_LENGTH, SEED_SIZE);
        memory.write(data + DATA, seed);
        return data;
    }
}
