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

    /// How much is added to the sum at once at most.
    private static final long MOST = 4L << 20;

    private static final MemorySegment ZEROS = MemorySegment.ofArray(new byte[PAGE]);

    private final CRC32C sum = new CRC32C();
    private final ByteBuffer offsetBytes =
            ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    private final MemorySegment all;
    private final Checkpoint checkpoint;

    private MemoryFile(MemorySegment all, Checkpoint checkpoint) {
        this.all = all;
        this.checkpoint = checkpoint;
    }

    /// What a file turned out to be.
    ///
    /// @param sum CRC32C
    record Written(long size, int sum) {}

    /// The sum of such a file.
    ///
    /// @param sizes of the regions
    static int sum(Fd file, List<Long> sizes, Checkpoint checkpoint) throws IOException {
        long size = sizes.stream().mapToLong(Long::longValue).sum();
        try (Arena arena = Arena.ofConfined()) {
            var memory = new MemoryFile(Mmap.privateFile(arena, file, 0, size), checkpoint);
            FileExtents.forEach(
                    file, sizes, 0, (offset, length) -> memory.add(offset, offset + length));
            return (int) memory.sum.getValue();
        }
    }

    private void add(long begin, long end) throws IOException {
        long at = begin;
        while (at < end) {
            checkpoint.pass();
            long from = at;
            while (from < end && isZero(from)) {
                from += PAGE;
            }
            at = from;
            while (at < end && !isZero(at)) {
                at += PAGE;
            }
            if (from < at) {
                addRun(from, at);
            }
        }
    }

    private boolean isZero(long at) {
        // most pages show in their first bytes that they are not
        return all.get(ValueLayout.JAVA_LONG, at) == 0
                && MemorySegment.mismatch(all, at, at + PAGE, ZEROS, 0, PAGE) < 0;
    }

    private void addRun(long from, long to) throws IOException {
        sum.update(offsetBytes.clear().putLong(from).flip());
        for (long at = from; at < to; at += MOST) {
            checkpoint.pass();
            sum.update(all.asSlice(at, Math.min(MOST, to - at)).asByteBuffer());
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
