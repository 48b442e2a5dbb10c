package org.kaval.machine.snapshot;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Checkpoint;
import org.kaval.linux.Fd;
import org.kaval.linux.Mmap;
import org.kaval.memory.Backing;
import org.kaval.memory.DirtyPages;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// Writes guest memory to a file like {@link MemoryFile}'s, in several goes: all of it, and then
/// what has been written since, for which the guest may run meanwhile. Over an earlier snapshot, a
/// page that is the same there is a hole, and {@link #runs} are the others.
///
/// One thread.
public final class MemoryCopy implements AutoCloseable {
    private static final int PAGE = (int) Mmap.PAGE_SIZE;

    /// What is alike is mostly a lot: so much is looked at together first.
    private static final long CHUNK = 64 << 10;

    /// How much is written at once at most.
    private static final long MOST = 4L << 20;

    private static final MemorySegment ZEROES = MemorySegment.ofArray(new byte[(int) CHUNK]);

    private final Fd file;
    private final GuestMemory memory;
    private final @Nullable GuestMemory base;
    private final Checkpoint checkpoint;
    private final List<GuestRange> ranges;
    private final BitSet written = new BitSet(); // pages, by their number in the file

    /// @param file empty; it and `base` are closed with the copy
    MemoryCopy(Fd file, GuestMemory memory, @Nullable GuestMemory base, Checkpoint checkpoint)
            throws IOException {
        this.file = file;
        this.memory = memory;
        this.base = base;
        this.checkpoint = checkpoint;
        ranges = memory.ranges();
        file.ftruncate(memory.size());
    }

    /// Writes all that is not zero, or not the same in the earlier snapshot.
    ///
    /// @return how many bytes
    public long writeAll() throws IOException {
        long count = 0;
        for (GuestRange range : base == null ? memory.used() : ranges) {
            MemorySegment region = memory.slice(range.base(), range.size());
            MemorySegment before = base == null ? null : base.slice(range.base(), range.size());
            long at = 0;
            while (at < range.size()) {
                long from = skip(region, before, at);
                at = from;
                while (at < range.size() && differs(region, before, at, PAGE)) {
                    at += PAGE;
                }
                write(range.base() + from, at - from);
                count += at - from;
            }
        }
        return count;
    }

    private long skip(MemorySegment region, @Nullable MemorySegment before, long from)
            throws IOException {
        long at = from;
        while (at < region.byteSize()) {
            checkpoint.pass();
            long chunk = Math.min(CHUNK, region.byteSize() - at);
            if (at % CHUNK == 0 && !differs(region, before, at, chunk)) {
                at += chunk;
            } else if (!differs(region, before, at, PAGE)) {
                at += PAGE;
            } else {
                return at;
            }
        }
        return at;
    }

    private static boolean differs(
            MemorySegment region, @Nullable MemorySegment before, long at, long size) {
        return before == null
                ? MemorySegment.mismatch(region, at, at + size, ZEROES, 0, size) >= 0
                : MemorySegment.mismatch(region, at, at + size, before, at, at + size) >= 0;
    }

    /// Writes these pages, whatever they hold.
    ///
    /// @return how many bytes
    public long write(DirtyPages pages) throws IOException {
        var run = new Run();
        pages.forEach(run::add);
        run.flush();
        if (run.failure != null) {
            throw run.failure;
        }
        return run.bytes;
    }

    /// Pages that follow each other are written together.
    private final class Run {
        private long from;
        private long length;
        private long bytes;
        private @Nullable IOException failure;

        void add(long address) {
            if (length > 0 && (address != from + length || !memory.holds(from, length + PAGE))) {
                flush();
            }
            if (length == 0) {
                from = address;
            }
            length += PAGE;
        }

        void flush() {
            try {
                if (failure == null) {
                    MemoryCopy.this.write(from, length);
                }
            } catch (IOException e) {
                failure = e;
            }
            bytes += length;
            length = 0;
        }
    }

    private void write(long address, long length) throws IOException {
        if (length == 0) {
            return;
        }
        long offset = offset(address);
        for (long at = 0; at < length; at += MOST) {
            checkpoint.pass();
            long piece = Math.min(MOST, length - at);
            MemoryFile.writeAll(file, memory.slice(address + at, piece), offset + at);
        }
        written.set(page(offset), page(offset + length));
    }

    private long offset(long address) {
        long before = 0;
        for (GuestRange range : ranges) {
            if (range.holds(address, 1)) {
                return before + address - range.base();
            }
            before += range.size();
        }
        throw new IllegalArgumentException("no RAM at 0x%x".formatted(address));
    }

    private static int page(long offset) {
        return Math.toIntExact(offset / PAGE);
    }

    /// What has been written.
    List<Backing.Run> runs() {
        var runs = new ArrayList<Backing.Run>();
        long begin = 0;
        for (GuestRange range : ranges) {
            int end = page(begin + range.size());
            int from = written.nextSetBit(page(begin));
            while (from >= 0 && from < end) {
                int to = Math.min(written.nextClearBit(from), end);
                runs.add(new Backing.Run((long) from * PAGE, (long) (to - from) * PAGE));
                from = written.nextSetBit(to);
            }
            begin += range.size();
        }
        return runs;
    }

    /// All has been written.
    ///
    /// @return its size and its sum, of what is in the file
    MemoryFile.Written finish() throws IOException {
        return new MemoryFile.Written(memory.size(), MemoryFile.sum(file, sizes(), checkpoint));
    }

    /// All has been written: compresses it.
    ///
    /// @param to an empty file
    /// @return the size and the sum of that file
    MemoryFile.Written compress(Fd to) throws IOException {
        return base == null
                ? CompressedMemory.write(file, sizes(), to, checkpoint)
                : CompressedMemory.writeRuns(file, runs(), to, checkpoint);
    }

    private List<Long> sizes() {
        return ranges.stream().map(GuestRange::size).toList();
    }

    @Override
    public void close() {
        file.close();
        if (base != null) {
            base.close();
        }
    }
}
