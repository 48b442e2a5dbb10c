package org.kaval.machine.boot;

import java.io.IOException;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.ToLongFunction;
import org.kaval.memory.GuestRange;

/// Puts the segments of a kernel where they say, below 4 GiB.
final class Segments {
    private final Loading loading;
    private final ImageFile file;
    private final List<Segment> segments;

    private Segments(Loading loading, ImageFile file, List<Segment> segments) {
        this.loading = loading;
        this.file = file;
        this.segments = segments;
    }

    /// Checks all segments, and puts them into memory.
    ///
    /// @param file that they are of: the kernel's, or what came out of it
    /// @throws BootFileException if one of them is not in free RAM, or two of them overlap
    static Segments load(Loading loading, ImageFile file, List<Segment> segments)
            throws IOException {
        var loaded = new Segments(loading, file, segments);
        loaded.check();
        for (Segment segment : loaded.segments) {
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
    long physical(EntryPoint entry) throws BootFileException {
        return find(entry.address(), Segment::address)
                .or(() -> find(entry.address(), Segment::virtualAddress))
                .orElseThrow(() ->
                        file.error(
                                entry.offset(),
                                "entry 0x%x, expected an address in a loaded segment"
                                        .formatted(entry.address())));
    }

    private Optional<Long> find(long entry, ToLongFunction<Segment> base) {
        return segments.stream()
                .filter(segment ->
                        Long.compareUnsigned(
                                        entry - base.applyAsLong(segment), segment.memorySize())
                                < 0)
                .map(segment -> segment.address() + entry - base.applyAsLong(segment))
                .findFirst();
    }

    private void check() throws BootFileException {
        for (Segment segment : segments) {
            checkAddress(segment);
        }
        List<Segment> sorted =
                segments.stream().sorted(Comparator.comparingLong(Segment::address)).toList();
        for (int i = 1; i < sorted.size(); i++) {
            checkDisjoint(sorted.get(i - 1), sorted.get(i));
        }
        for (Segment segment : segments) {
            loading.free().take(range(segment));
        }
    }

    private void checkAddress(Segment segment) throws BootFileException {
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

    private void checkDisjoint(Segment lower, Segment upper) throws BootFileException {
        if (range(lower).overlaps(range(upper))) {
            throw error(
                    upper,
                    "expected one that does not overlap segment %d at 0x%x+0x%x"
                            .formatted(lower.index(), lower.address(), lower.memorySize()));
        }
    }

    private BootFileException error(Segment segment, String expected) {
        return file.error(
                segment.header(),
                "segment %d is at 0x%x+0x%x, %s"
                        .formatted(
                                segment.index(),
                                segment.address(),
                                segment.memorySize(),
                                expected));
    }

    private static GuestRange range(Segment segment) {
        return new GuestRange(segment.address(), segment.memorySize());
    }
}
