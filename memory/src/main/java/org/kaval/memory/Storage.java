package org.kaval.memory;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.linux.Mmap;
import org.kaval.linux.PageMap;

/// The host's memory behind the regions of a guest's.
///
/// ```
///   anonymous ─┐ copied to a file in memory
///   shared ────┤ its own file                 ┌──▶ the original, mapped privately
///              └──────────▶ frozen files ──────┤
///   files  ───────────────────▲                └──▶ copies, mapped privately
/// ```
///
/// {@link #copy} freezes what it copies: from then on both have the same files, which no longer
/// change, and for themselves what they write. Memory from the pool of huge pages stays as it is.
///
/// {@link #discard} is for any thread, the rest for one at a time. No addresses ever change.
final class Storage implements AutoCloseable {
    private static final String NAME = "guest memory";

    /// What has changed since the files were frozen is copied for each copy if it is less than
    /// that, in pages, or than an eighth of what is in the files.
    private static final int FEW_PAGES = 2048;

    private static final int MOST_AT_ONCE = 256; // pages
    private static final MemorySegment ZEROES = MemorySegment.ofArray(new byte[4096]);

    private enum Kind {
        ANONYMOUS,
        SHARED,
        RESERVED,
        FILES
    }

    private final Arena arena;
    private final List<GuestRange> ranges;
    private final List<MemorySegment> memory;
    private volatile Kind kind;
    private @Nullable Fd shared; // of SHARED
    private @Nullable PrivateFiles files; // of FILES
    private int frozenPages; // that are used in the files

    private Storage(Arena arena, List<GuestRange> ranges, List<MemorySegment> memory, Kind kind)
            throws ErrnoException {
        this.arena = arena;
        this.ranges = ranges;
        this.memory = memory;
        this.kind = kind;
        keepOutOfDumps();
    }

    /// @param ranges whole pages, in ascending order
    static Storage open(List<GuestRange> ranges, Backing backing) throws IOException {
        Arena arena = newArena();
        Storage made = null;
        try {
            made =
                    switch (backing) {
                        case Backing.Anonymous(boolean huge) -> anonymous(arena, ranges, huge);
                        case Backing.Memfd _ -> shared(arena, ranges);
                        case Backing.HugePages _ -> hugePages(arena, ranges);
                        case Backing.PrivateFile file ->
                                ofFiles(arena, ranges, FileRegions.map(arena, ranges, file));
                        case Backing.LayeredFile layered ->
                                ofFiles(arena, ranges, FileRegions.map(arena, ranges, layered));
                    };
            return made;
        } finally {
            if (made == null) {
                arena.close();
            }
        }
    }

    @SuppressWarnings("MustBeClosedChecker") // the storage closes it
    private static Arena newArena() {
        return Arena.ofShared();
    }

    private static Storage anonymous(
            Arena arena, List<GuestRange> ranges, boolean transparentHugePages)
            throws ErrnoException {
        var memory = new ArrayList<MemorySegment>(ranges.size());
        for (GuestRange range : ranges) {
            MemorySegment bytes = Mmap.anonymous(arena, range.size());
            if (transparentHugePages) {
                Mmap.adviseHugePages(bytes);
            }
            memory.add(bytes);
        }
        return new Storage(arena, ranges, memory, Kind.ANONYMOUS);
    }

    private static Storage shared(Arena arena, List<GuestRange> ranges) throws ErrnoException {
        Fd file = Fd.memfd(NAME, size(ranges), false);
        Storage made = null;
        try {
            var memory = new ArrayList<MemorySegment>(ranges.size());
            long offset = 0;
            for (GuestRange range : ranges) {
                memory.add(Mmap.shared(arena, file, offset, range.size()));
                offset += range.size();
            }
            made = new Storage(arena, ranges, memory, Kind.SHARED);
            made.shared = file;
            return made;
        } finally {
            if (made == null) {
                file.close();
            }
        }
    }

    private static Storage hugePages(Arena arena, List<GuestRange> ranges) throws IOException {
        HostMemory host = HostMemory.read();
        long pageSize = host.hugePageSize();
        if (pageSize == 0) {
            throw new HostUnsupportedException("the kernel has no huge pages");
        }
        for (GuestRange range : ranges) {
            if (range.base() % pageSize != 0 || range.size() % pageSize != 0) {
                throw new HostUnsupportedException(
                        "memory in huge pages must be a multiple of %d KiB"
                                .formatted(pageSize / 1024));
            }
        }
        try {
            var memory = new ArrayList<MemorySegment>(ranges.size());
            for (GuestRange range : ranges) {
                memory.add(Mmap.memfd(arena, NAME, range.size(), true));
            }
            return new Storage(arena, ranges, memory, Kind.RESERVED);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ENOMEM) {
                throw e;
            }
            throw new HostUnsupportedException(
                    "%d huge pages of %d KiB are needed and %d are free; 'sudo sysctl vm.nr_hugepages=N' makes more"
                            .formatted(
                                    size(ranges) / pageSize, pageSize / 1024, host.freeHugePages()),
                    e);
        }
    }

    private static Storage ofFiles(Arena arena, List<GuestRange> ranges, FileRegions.Mapped mapped)
            throws ErrnoException {
        Storage made = null;
        try {
            made = new Storage(arena, ranges, mapped.memory(), Kind.FILES);
            made.files = mapped.files();
            return made;
        } finally {
            if (made == null) {
                mapped.files().release();
            }
        }
    }

    /// A segment for each region; they are there until this is closed.
    List<MemorySegment> memory() {
        return memory;
    }

    /// See {@link GuestMemory#discard}.
    ///
    /// @return whether something has become of it
    boolean discard(MemorySegment region, long offset, long length) throws ErrnoException {
        switch (kind) {
            case ANONYMOUS, FILES -> Mmap.discardPrivate(region, offset, length);
            case SHARED -> Mmap.discardShared(region, offset, length);
            case RESERVED -> {
                return false; // they are reserved for it: nobody else could have them
            }
        }
        return true;
    }

    /// A bit for each page, the regions one behind the other, that may have more than zeroes.
    BitSet used() throws IOException {
        var pages = new BitSet(pages(size(ranges)));
        switch (kind) {
            case ANONYMOUS -> addOwn(pages);
            case RESERVED -> pages.set(0, pages(size(ranges)));
            case SHARED -> {
                var file = new PrivateFiles();
                file.addAll(required(shared), 0, ranges);
                file.addUsed(pages);
            }
            case FILES -> {
                required(files).addUsed(pages);
                addOwn(pages);
            }
        }
        return pages;
    }

    /// Pages that are not those of a file.
    private void addOwn(BitSet pages) throws IOException {
        PageMap map;
        try {
            map = PageMap.open();
        } catch (ErrnoException e) {
            pages.set(0, pages(size(ranges))); // a container without it: all may be
            return;
        }
        try (map) {
            int first = 0;
            for (MemorySegment region : memory) {
                map.addOwn(region, pages, first);
                first += pages(region.byteSize());
            }
        }
    }

    /// Another memory with the same content, which nobody writes to meanwhile, guest or device.
    Storage copy() throws IOException {
        var changed = new BitSet();
        PrivateFiles source;
        switch (kind) {
            case RESERVED -> {
                source = copyToFile(used());
                return copyOf(source, changed);
            }
            case ANONYMOUS -> freeze(copyToFile(used()));
            case SHARED -> {
                var own = new PrivateFiles();
                own.addAll(own.own(required(shared)), 0, ranges);
                freeze(own);
                shared = null;
            }
            case FILES -> {
                addOwn(changed);
                if (changed.cardinality() > Math.max(FEW_PAGES, frozenPages() / 8)) {
                    freeze(copyToFile(used()));
                    changed.clear();
                }
            }
        }
        source = required(files).retain();
        return copyOf(source, changed);
    }

    private int frozenPages() throws IOException {
        if (frozenPages == 0) {
            var pages = new BitSet();
            required(files).addUsed(pages);
            frozenPages = pages.cardinality();
        }
        return frozenPages;
    }

    /// Maps files that have what the memory has in its place.
    private void freeze(PrivateFiles newFiles) throws IOException {
        PrivateFiles before = files;
        // first: a region that is not mapped anew after a failure counts as changed
        files = newFiles;
        frozenPages = 0;
        kind = Kind.FILES;
        newFiles.replace(memory);
        keepOutOfDumps();
        if (before != null) {
            before.release();
        }
    }

    /// A crash of this process must not write the guest's memory, which may hold secrets, to disk.
    private void keepOutOfDumps() throws ErrnoException {
        for (MemorySegment region : memory) {
            Mmap.adviseDontDump(region);
        }
    }

    /// @param source is released in any case, with the copy at the latest
    private Storage copyOf(PrivateFiles source, BitSet changed) throws IOException {
        Arena copies = newArena();
        Storage made = null;
        try {
            var copy = new Storage(copies, ranges, source.map(copies, ranges), Kind.FILES);
            forEachRun(
                    changed,
                    (region, at, length) ->
                            MemorySegment.copy(
                                    memory.get(region), at, copy.memory.get(region), at, length));
            copy.files = source;
            copy.frozenPages = frozenPages;
            made = copy;
            return copy;
        } finally {
            if (made == null) {
                source.release();
                copies.close();
            }
        }
    }

    private PrivateFiles copyToFile(BitSet used) throws IOException {
        var result = new PrivateFiles();
        boolean done = false;
        try {
            Fd file = result.own(Fd.memfd(NAME, size(ranges), false));
            result.addAll(file, 0, ranges);
            forEachRun(
                    withoutZeroes(used),
                    (region, at, length) ->
                            writeAll(
                                    file,
                                    memory.get(region).asSlice(at, length),
                                    offset(region) + at));
            done = true;
            return result;
        } finally {
            if (!done) {
                result.release();
            }
        }
    }

    private BitSet withoutZeroes(BitSet used) {
        long offset = 0;
        for (MemorySegment region : memory) {
            int first = pages(offset);
            offset += region.byteSize();
            int end = pages(offset);
            for (int page = used.nextSetBit(first);
                    page >= 0 && page < end;
                    page = used.nextSetBit(page + 1)) {
                if (isZero(region, (page - first) * Mmap.PAGE_SIZE)) {
                    used.clear(page);
                }
            }
        }
        return used;
    }

    private static boolean isZero(MemorySegment region, long at) {
        return region.get(ValueLayout.JAVA_LONG, at) == 0 // most others show it at once
                && MemorySegment.mismatch(
                                region, at, at + Mmap.PAGE_SIZE, ZEROES, 0, Mmap.PAGE_SIZE)
                        < 0;
    }

    private static void writeAll(Fd file, MemorySegment piece, long to) throws IOException {
        long at = 0;
        while (at < piece.byteSize()) {
            at += file.pwrite(piece.asSlice(at), to + at);
        }
    }

    /// What is done with pages that follow each other in a region.
    @FunctionalInterface
    private interface RunAction {
        void accept(int region, long at, long length) throws IOException;
    }

    private void forEachRun(BitSet pages, RunAction action) throws IOException {
        int first = 0;
        for (int region = 0; region < memory.size(); region++) {
            int end = first + pages(memory.get(region).byteSize());
            int from = pages.nextSetBit(first);
            while (from >= 0 && from < end) {
                int to = Math.min(end, Math.min(pages.nextClearBit(from), from + MOST_AT_ONCE));
                action.accept(
                        region, (from - first) * Mmap.PAGE_SIZE, (to - from) * Mmap.PAGE_SIZE);
                from = pages.nextSetBit(to);
            }
            first = end;
        }
    }

    private long offset(int region) {
        return size(ranges.subList(0, region));
    }

    private static long size(List<GuestRange> ranges) {
        return ranges.stream().mapToLong(GuestRange::size).sum();
    }

    private static int pages(long bytes) {
        return Math.toIntExact(bytes / Mmap.PAGE_SIZE);
    }

    private static <T> T required(@Nullable T part) {
        if (part == null) {
            throw new IllegalStateException("guest memory is closed");
        }
        return part;
    }

    @Override
    public void close() {
        if (!arena.scope().isAlive()) {
            return;
        }
        arena.close();
        if (files != null) {
            files.release();
        }
        if (shared != null) {
            shared.close();
        }
    }
}
