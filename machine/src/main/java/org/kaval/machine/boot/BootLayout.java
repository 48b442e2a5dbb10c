package org.kaval.machine.boot;

import static java.nio.charset.StandardCharsets.UTF_8;

import org.kaval.kvm.KvmDescriptorTable;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// What boot sources put below 1 MiB, and where: the one table of it.
///
/// | from    | to      | what                                                                |
/// |--------:|--------:|---------------------------------------------------------------------|
/// | 0       | 0x4ff   | nothing: interrupt vectors and BIOS data in real mode               |
/// | 0x500   | 0x52f   | GDT: 0x10 code, 0x18 data, 0x20 user data, 0x28 user code           |
/// | 0x6000  | 0x6fff  | PVH start info or Multiboot information, and the list of modules    |
/// | 0x7000  | 0x7fff  | Linux's zero page (`struct boot_params`)                            |
/// | 0x8000  | 0x8fff  | stack, growing down                                                 |
/// | 0x9000  | 0xefff  | page tables that map the first 4 GiB to themselves; long mode only  |
/// | 0xf000  | 0xffff  | Linux's list of `struct setup_data`                                 |
/// | 0x10000 | 0x10fff | memory map, of PVH and Multiboot                                    |
/// | 0x20000 | 0x2ffff | command line, with a zero at its end                                |
///
/// The rest of memory is for kernels and initrds. {@link FlatPayload} uses the GDT and the page
/// tables only.
final class BootLayout {
    static final GuestRange GDT = new GuestRange(0x500, 0x30);
    static final GuestRange START_INFO = new GuestRange(0x6000, 0x1000);
    static final GuestRange ZERO_PAGE = new GuestRange(0x7000, 0x1000);
    static final GuestRange STACK = new GuestRange(0x8000, 0x1000);
    static final GuestRange PAGE_TABLES = new GuestRange(0x9000, 0x6000);
    static final GuestRange SETUP_DATA = new GuestRange(0xf000, 0x1000);
    static final GuestRange MEMORY_MAP = new GuestRange(0x1_0000, 0x1000);
    static final GuestRange COMMAND_LINE = new GuestRange(0x2_0000, 0x1_0000);

    /// All of it.
    static final GuestRange ALL = new GuestRange(0, COMMAND_LINE.end());

    /// The longest command line, in bytes without the zero at its end.
    static final int MAX_COMMAND_LINE = (int) COMMAND_LINE.size() - 1;

    private static final long PAGE = 0x1000;

    /// How many page directories: 1 GiB each.
    private static final int DIRECTORIES = 4;

    private static final int ENTRIES = 512;
    private static final long PRESENT_WRITABLE_USER = 7;
    private static final long LARGE_PAGE = 1 << 7;
    private static final int LARGE_PAGE_SHIFT = 21;

    // Intel SDM vol. 3A §3.4.5: flat, base 0, limit 4 GiB
    private static final long CODE64 = 0x00af_9b00_0000_ffffL;
    private static final long CODE32 = 0x00cf_9b00_0000_ffffL;
    private static final long DATA = 0x00cf_9300_0000_ffffL;
    private static final long DPL3 = 0x0000_6000_0000_0000L;

    private BootLayout() {}

    /// Writes the GDT of 32-bit protected mode.
    static KvmDescriptorTable writeGdt32(GuestMemory memory) {
        return writeGdt(memory, CODE32);
    }

    /// Writes the GDT of 64-bit mode.
    static KvmDescriptorTable writeGdt64(GuestMemory memory) {
        return writeGdt(memory, CODE64);
    }

    private static KvmDescriptorTable writeGdt(GuestMemory memory, long kernelCode) {
        long[] descriptors = {0, 0, kernelCode, DATA, DATA | DPL3, kernelCode | DPL3};
        for (int i = 0; i < descriptors.length; i++) {
            memory.writeLe64(GDT.base() + i * (long) Long.BYTES, descriptors[i]);
        }
        return new KvmDescriptorTable(GDT.base(), descriptors.length * Long.BYTES - 1);
    }

    /// Writes one PML4 entry and four directories of 2 MiB pages (Intel SDM vol. 3A §4.5), for ring
    /// 3 too.
    ///
    /// @return the address of the PML4
    static long writePageTables(GuestMemory memory) {
        long root = PAGE_TABLES.base();
        long directoryPointers = root + PAGE;
        memory.writeLe64(root, directoryPointers | PRESENT_WRITABLE_USER);
        for (int i = 0; i < DIRECTORIES; i++) {
            long directory = directoryPointers + PAGE * (i + 1);
            memory.writeLe64(
                    directoryPointers + i * (long) Long.BYTES, directory | PRESENT_WRITABLE_USER);
            for (int j = 0; j < ENTRIES; j++) {
                long page = ((long) i * ENTRIES + j) << LARGE_PAGE_SHIFT;
                memory.writeLe64(
                        directory + j * (long) Long.BYTES,
                        page | LARGE_PAGE | PRESENT_WRITABLE_USER);
            }
        }
        return root;
    }

    /// How many bytes `line` has in guest memory, without the zero at its end.
    static int length(String line) {
        return line.getBytes(UTF_8).length;
    }

    /// Writes a command line of at most {@link #MAX_COMMAND_LINE} bytes, in UTF-8.
    ///
    /// @return its address
    static long writeCommandLine(GuestMemory memory, String line) {
        byte[] bytes = line.getBytes(UTF_8);
        memory.write(COMMAND_LINE.base(), bytes);
        memory.writeByte(COMMAND_LINE.base() + bytes.length, 0);
        return COMMAND_LINE.base();
    }
}
