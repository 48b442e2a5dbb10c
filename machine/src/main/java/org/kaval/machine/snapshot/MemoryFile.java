package org.kaval.machine.snapshot;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Checkpoint;
import org.kaval.linux.Fd;
import org.kaval.linux.Mmap;

/// Guest memory in a file, the regions one behind the other. Pages of zeros are holes, which take
/// no space and read as zeros.
///
/// Its sum is CRC32C of the runs of other pages in order, each behind its offset in the file (8
/// bytes, little-endian); a run ends where its region does.
final class MemoryFile {
    private static final int PAGE = (int) Mmap.PAGE_SIZE;

    /// What is zero is mostly a lot: so much is looked at together first.
    private static final long CHUNK = 64 << 10;

    /// How much is written at once at most.
    private static final long MOST = 4L << 20;

    private final CRC32C sum = new CRC32C();
    private final ByteBuffer offsetBytes =
            ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    private final MemorySegment zeros = MemorySegment.ofArray(new byte[(int) CHUNK]);
    private final @Nullable Fd file;
    private final Checkpoint checkpoint;
    private long offset; // of the region

    /// What a file turned out to be.
    ///
    /// @param sum CRC32C
    record Written(long size, int sum) {}

    /// @param file what is written; null if only the sum is wanted
    private MemoryFile(@Nullable Fd file, Checkpoint checkpoint) {
        this.file = file;
        this.checkpoint = checkpoint;
    }

    /// Writes `regions`, whole pages each, to an empty file; it is not on the disk then.
    static Written write(Fd file, List<MemorySegment> regions, Checkpoint checkpoint)
            throws IOException {
        var memory = new MemoryFile(file, checkpoint);
        long size = 0;
        for (MemorySegment region : regions) {
            size += region.byteSize();
        }
        file.ftruncate(size);
        for (MemorySegment region : regions) {
            memory.addRegion(region);
        }
        return new Written(size, (int) memory.sum.getValue());
    }

    /// The sum of a file that was written so.
    ///
    /// @param sizes of the regions
    static int sum(Fd file, List<Long> sizes, Checkpoint checkpoint) throws IOException {
        var memory = new MemoryFile(null, checkpoint);
        for (long size : sizes) {
            try (Arena arena = Arena.ofConfined()) {
                memory.addRegion(Mmap.privateFile(arena, file, memory.offset, size));
            }
        }
        return (int) memory.sum.getValue();
    }

    private void addRegion(MemorySegment region) throws IOException {
        long at = 0;
        while (at < region.byteSize()) {
            long from = skipZeros(region, at);
            at = skipPages(region, from);
            if (from < at) {
                addRun(region, from, at);
            }
        }
        offset += region.byteSize();
    }

    private long skipZeros(MemorySegment region, long from) throws IOException {
        long at = from;
        while (at < region.byteSize()) {
            checkpoint.pass();
            long chunk = Math.min(CHUNK, region.byteSize() - at);
            if (at % CHUNK == 0 && isZero(region, at, chunk)) {
                at += chunk;
            } else if (isZero(region, at, PAGE)) {
                at += PAGE;
            } else {
                return at;
            }
        }
        return at;
    }

    private long skipPages(MemorySegment region, long from) {
        long at = from;
        while (at < region.byteSize() && !isZero(region, at, PAGE)) {
            at += PAGE;
        }
        return at;
    }

    private boolean isZero(MemorySegment region, long at, long size) {
        // most pages show in their first bytes that they are not
        return region.get(ValueLayout.JAVA_LONG, at) == 0
                && MemorySegment.mismatch(region, at, at + size, zeros, 0, size) < 0;
    }

    private void addRun(MemorySegment region, long from, long to) throws IOException {
        sum.update(offsetBytes.clear().putLong(offset + from).flip());
        for (long at = from; at < to; at += MOST) {
            checkpoint.pass();
            MemorySegment piece = region.asSlice(at, Math.min(MOST, to - at));
            sum.update(piece.asByteBuffer());
            if (file != null) {
                writeAll(file, piece, offset + at);
            }
        }
    }

    /// Fills `into`.
    ///
    /// @throws EOFException if the file ends before
    static void readAll(Fd file, MemorySegment into, long from) throws IOException {
        long at = 0;
        while (at < into.byteSize()) {
            long count = file.pread(into.asSlice(at), from + at);
            if (count <= 0) {
                throw new EOFException("%s: it ends before 0x%x".formatted(file, from + at + 1));
            }
            at += count;
        }
    }

    static void writeAll(Fd file, MemorySegment piece, long to) throws IOException {
        long at = 0;
        while (at < piece.byteSize()) {
            at += file.pwrite(piece.asSlice(at), to + at);
        }
    }
}
