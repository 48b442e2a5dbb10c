package org.kaval.memory;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.kaval.linux.Fd;
import org.kaval.linux.Mmap;

/// Guest memory that comes from files and is read where it is touched.
final class FileRegions {
    /// A process has 65,530 mappings at most unless its host says otherwise (vm.max_map_count); so
    /// what is shorter is read at once.
    private static final long LEAST_MAPPED = 1 << 20;

    private FileRegions() {}

    static List<GuestRegion> map(Arena arena, List<GuestRange> ranges, Backing.PrivateFile backing)
            throws IOException {
        return regions(ranges, mapAll(arena, ranges, backing));
    }

    static List<GuestRegion> map(Arena arena, List<GuestRange> ranges, Backing.LayeredFile backing)
            throws IOException {
        List<MemorySegment> memory = mapAll(arena, ranges, backing.bottom());
        for (Backing.Layer layer : backing.layers()) {
            try (Fd file = Fd.open(layer.file(), Fd.Access.READ)) {
                long length = Files.size(layer.file());
                for (Backing.Run run : layer.runs()) {
                    check(layer.file(), run, length);
                    put(memory, file, run);
                }
            }
        }
        return regions(ranges, memory);
    }

    private static List<GuestRegion> regions(List<GuestRange> ranges, List<MemorySegment> memory)
            throws IOException {
        var regions = new ArrayList<GuestRegion>(ranges.size());
        for (int i = 0; i < ranges.size(); i++) {
            regions.add(GuestMemory.region(ranges.get(i), memory.get(i)));
        }
        return regions;
    }

    private static List<MemorySegment> mapAll(
            Arena arena, List<GuestRange> ranges, Backing.PrivateFile backing) throws IOException {
        long needed = 0;
        for (GuestRange range : ranges) {
            needed = Math.addExact(needed, range.size());
        }
        long length = Files.size(backing.file());
        if (backing.offset() % Mmap.PAGE_SIZE != 0) {
            throw new IOException(
                    "%s: offset 0x%x is not a multiple of the page size"
                            .formatted(backing.file(), backing.offset()));
        }
        if (!Files.isRegularFile(backing.file())) {
            throw new IOException(backing.file() + ": not a regular file");
        }
        // a page behind the end of the file would be a SIGBUS for whoever touches it
        if (backing.offset() < 0 || backing.offset() > length - needed) {
            throw new IOException(
                    "%s: 0x%x bytes are needed from offset 0x%x on, and it has 0x%x in all"
                            .formatted(backing.file(), needed, backing.offset(), length));
        }
        var memory = new ArrayList<MemorySegment>(ranges.size());
        long offset = backing.offset();
        try (Fd file = Fd.open(backing.file(), Fd.Access.READ)) {
            for (GuestRange range : ranges) {
                memory.add(Mmap.privateFile(arena, file, offset, range.size()));
                offset += range.size();
            }
        }
        return memory;
    }

    private static void check(Path file, Backing.Run run, long length) throws IOException {
        if (run.offset() < 0
                || run.length() <= 0
                || (run.offset() | run.length()) % Mmap.PAGE_SIZE != 0
                || run.offset() > length - run.length()) {
            throw new IOException(
                    "%s: 0x%x bytes at 0x%x are no pages of it"
                            .formatted(file, run.length(), run.offset()));
        }
    }

    private static void put(List<MemorySegment> memory, Fd file, Backing.Run run)
            throws IOException {
        long base = 0; // of the region, from the beginning of the memory
        for (MemorySegment region : memory) {
            long at = run.offset() - base;
            if (at >= 0 && at < region.byteSize()) {
                if (run.length() > region.byteSize() - at) {
                    throw new IOException(
                            "%s: 0x%x bytes at 0x%x reach into another region of memory"
                                    .formatted(file.name(), run.length(), run.offset()));
                }
                if (run.length() >= LEAST_MAPPED) {
                    Mmap.replacePrivate(region, at, file, run.offset(), run.length());
                } else {
                    readAll(file, region.asSlice(at, run.length()), run.offset());
                }
                return;
            }
            base += region.byteSize();
        }
        throw new IOException(
                "%s: there is no memory at 0x%x".formatted(file.name(), run.offset()));
    }

    private static void readAll(Fd file, MemorySegment into, long from) throws IOException {
        long at = 0;
        while (at < into.byteSize()) {
            long count = file.pread(into.asSlice(at), from + at);
            if (count == 0) {
                throw new IOException("%s: it ends at 0x%x".formatted(file.name(), from + at));
            }
            at += count;
        }
    }
}
