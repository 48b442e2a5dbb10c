package org.kaval.memory;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.kaval.linux.Fd;
import org.kaval.linux.Mmap;

/// Guest memory that comes from files and is read where it is touched.
final class FileRegions {
    /// A process has 65,530 mappings at most unless its host says otherwise (vm.max_map_count); so
    /// what is shorter is read at once.
    private static final long LEAST_MAPPED = 1 << 20;

    private FileRegions() {}

    /// Memory, one segment for each range, and the files behind it, which the caller closes.
    record Mapped(List<MemorySegment> memory, PrivateFiles files) {}

    static Mapped map(Arena arena, List<GuestRange> ranges, Backing.PrivateFile backing)
            throws IOException {
        return map(arena, ranges, new Backing.LayeredFile(backing, List.of()));
    }

    static Mapped map(Arena arena, List<GuestRange> ranges, Backing.LayeredFile backing)
            throws IOException {
        var files = new PrivateFiles();
        boolean done = false;
        try {
            addBottom(files, ranges, backing.bottom());
            List<MemorySegment> memory = files.map(arena, ranges);
            for (Backing.Layer layer : backing.layers()) {
                Fd file = files.own(Fd.open(layer.file(), Fd.Access.READ));
                long length = Files.size(layer.file());
                for (Backing.Run run : layer.runs()) {
                    check(layer.file(), run, length);
                    put(memory, files, file, run);
                }
            }
            done = true;
            return new Mapped(memory, files);
        } finally {
            if (!done) {
                files.release();
            }
        }
    }

    private static void addBottom(
            PrivateFiles files, List<GuestRange> ranges, Backing.PrivateFile backing)
            throws IOException {
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
        files.addAll(files.own(Fd.open(backing.file(), Fd.Access.READ)), backing.offset(), ranges);
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

    private static void put(
            List<MemorySegment> memory, PrivateFiles files, Fd file, Backing.Run run)
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
                    files.add(file, run.offset(), run.offset(), run.length());
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
