package org.kaval.machine.boot;

import java.io.IOException;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.ToLongFunction;
import org.kaval.memory.GuestRange;

/// Puts the segments of an ELF kernel where they say, below 4 GiB.
final class ElfSegments {
    private final Loading loading;
    private final ImageFile file;
    private final List<ElfFile.Segment> segments;

    private ElfSegments(Loading loading, ImageFile file, ElfFile elf) {
        this.loading = loading;
        this.file = file;
        this.segments = elf.segments();
    }

    /// Checks all segments, and puts them into memory.
    ///
    /// @param file the ELF file, which is the kernel's or what came out of it
    /// @throws BootFileException if one of them is not in free RAM, or two of them overlap
    static ElfSegments load(Loading loading, ImageFile file, ElfFile elf) throws IOException {
        var loaded = new ElfSegments(loading, file, elf);
        loaded.check();
        for (ElfFile.Segment segment : loaded.segments) {
            file.copyInto(
                    loading.memory(),
                    segment.address(),
                    segment.offset(),
                    segment.fileSize(),
                    "a segment");
        }
        return loaded;
    }

    /// The physical address of `entry`, which may be a virtual one: kernels for the upper half of
    /// the address space have such.
    long physical(ElfFile.Entry entry) throws BootFileException {
        return find(entry.address(), ElfFile.Segment::address)
                .or(() -> find(entry.address(), ElfFile.Segment::virtualAddress))
                .orElseThrow(() ->
                        file.error(
                                entry.offset(),
                                "entry 0x%x, expected an address in a loaded segment"
                                        .formatted(entry.address())));
    }

    private Optional<Long> find(long entry, ToLongFunction<ElfFile.Segment> base) {
        return segments.stream()
                .filter(segment ->
                        Long.compareUnsigned(
                                        entry - base.applyAsLong(segment), segment.memorySize())
                                < 0)
                .map(segment -> segment.address() + entry - base.applyAsLong(segment))
                .findFirst();
    }

    private void check() throws BootFileException {
        for (ElfFile.Segment segment : segments) {
            checkAddress(segment);
        }
        List<ElfFile.Segment> sorted =
                segments.stream()
                        .sorted(Comparator.comparingLong(ElfFile.Segment::address))
                        .toList();
        for (int i = 1; i < sorted.size(); i++) {
            checkDisjoint(sorted.get(i - 1), sorted.get(i));
        }
        for (ElfFile.Segment segment : segments) {
            loading.free().take(range(segment));
        }
    }

    private void checkAddress(ElfFile.Segment segment) throws BootFileException {
        long address = segment.address();
        long size = segment.memorySize();
        boolean below = address >= 0 && size > 0 && address <= Loading.FOUR_GIB - size;
        if (!below || !loading.memory().holds(address, size)) {
            throw error(segment, "expected an address in the RAM below 4 GiB");
        }
        if (!loading.free().holds(address, size)) {
            throw error(
                    segment,
                    "expected an address in free memory: 0x0-0x%x and what the machine reserves are taken"
                            .formatted(BootLayout.ALL.end() - 1));
        }
    }

    private void checkDisjoint(ElfFile.Segment lower, ElfFile.Segment upper)
            throws BootFileException {
        if (range(lower).overlaps(range(upper))) {
            throw error(
                    upper,
                    "expected one that does not overlap segment %d at 0x%x+0x%x"
                            .formatted(lower.index(), lower.address(), lower.memorySize()));
        }
    }

    private BootFileException error(ElfFile.Segment segment, String expected) {
        return file.error(
                segment.header(),
                "segment %d is at 0x%x+0x%x, %s"
                        .formatted(
                                segment.index(),
                                segment.address(),
                                segment.memorySize(),
                                expected));
    }

    private static GuestRange range(ElfFile.Segment segment) {
        return new GuestRange(segment.address(), segment.memorySize());
    }
}
