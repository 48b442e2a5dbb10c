package org.kaval.machine.boot;

import java.nio.ByteBuffer;
import java.util.Optional;

/// The header by which a Multiboot kernel is known (Multiboot Specification 0.6.96 §3.1).
///
/// | offset | field         |                                                          |
/// |-------:|---------------|----------------------------------------------------------|
/// |      0 | magic         | 0x1badb002                                               |
/// |      4 | flags         | what the kernel needs, and whether there are addresses   |
/// |      8 | checksum      | makes the sum of the three 0                             |
/// |     12 | header_addr   | where the header itself goes                             |
/// |     16 | load_addr     | where the kernel begins                                  |
/// |     20 | load_end_addr | where its bytes end; 0 with the file                     |
/// |     24 | bss_end_addr  | where zeros end; 0 if there are none                     |
/// |     28 | entry_addr    | where it is entered                                      |
///
/// @param offset where in the file it is
/// @param fields a copy of the header, as long as the search goes
record MultibootHeader(int offset, ByteBuffer fields) {
    /// How much of a file is searched.
    static final int SEARCHED = 8192;

    static final int FLAGS = 4;
    static final int HEADER_ADDRESS = 12;
    static final int LOAD_ADDRESS = 16;
    static final int LOAD_END = 20;
    static final int BSS_END = 24;
    static final int ENTRY = 28;

    private static final int MAGIC = 0x1bad_b002;
    private static final int CHECKSUM = 8;
    private static final int SIZE = 12;
    private static final int SIZE_WITH_ADDRESSES = 32;
    private static final int HAS_ADDRESSES = 1 << 16;

    /// Requirements that a loader does not know are to be refused.
    private static final int REQUIREMENTS = 0xffff;

    /// Modules at whole pages, and the memory map.
    private static final int KNOWN_REQUIREMENTS = 0b11;

    /// Looks for it in the beginning of a file.
    static Optional<MultibootHeader> find(ByteBuffer beginning) {
        int end = Math.min(SEARCHED, beginning.limit());
        for (int at = 0; at <= end - SIZE; at += Integer.BYTES) {
            if (beginning.getInt(at) == MAGIC
                    && MAGIC + beginning.getInt(at + FLAGS) + beginning.getInt(at + CHECKSUM)
                            == 0) {
                ByteBuffer fields =
                        beginning
                                .slice(at, Math.min(SIZE_WITH_ADDRESSES, end - at))
                                .order(beginning.order());
                return Optional.of(new MultibootHeader(at, fields));
            }
        }
        return Optional.empty();
    }

    /// Fails if the kernel needs what there is not.
    void check(ImageFile file) throws BootFileException {
        int unknown = flags() & REQUIREMENTS & ~KNOWN_REQUIREMENTS;
        if (unknown != 0) {
            throw file.error(
                    offset + FLAGS,
                    "the kernel requires Multiboot features 0x%x, expected none but 0x3"
                                    .formatted(unknown)
                            + ((unknown & 4) != 0 ? ": there is no screen" : ""));
        }
        if (hasAddresses() && fields.limit() < SIZE_WITH_ADDRESSES) {
            throw file.error(
                    offset,
                    "a Multiboot header of %d bytes, expected %d before 0x%x"
                            .formatted(fields.limit(), SIZE_WITH_ADDRESSES, SEARCHED));
        }
    }

    /// Whether it says where the kernel goes; else the file is an ELF file.
    boolean hasAddresses() {
        return (flags() & HAS_ADDRESSES) != 0;
    }

    /// Reads one of the fields of {@link #check checked} addresses.
    long address(int field) {
        return Integer.toUnsignedLong(fields.getInt(field));
    }

    private int flags() {
        return fields.getInt(FLAGS);
    }
}
