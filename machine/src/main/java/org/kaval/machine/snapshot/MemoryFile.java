package org.kaval.machine.snapshot;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.zip.CRC32C;
import org.kaval.linux.Fd;
import org.kaval.linux.Mmap;

/// Guest memory in a file, the regions one behind the other. Pages of zeros are holes, which take
/// no space and read as zeros.
///
/// Its sum is CRC32C of all other pages in order, each behind its offset in the file (8 bytes,
/// little-endian).
final class MemoryFile {
    private static final int PAGE = (int) Mmap.PAGE_SIZE;

    /// How much is written at once at most.
    private static final long MOST = 4L << 20;

    private final CRC32C sum = new CRC32C();
    private final ByteBuffer offsetBytes =
            ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    private final MemorySegment zeros = MemorySegment.ofArray(new byte[PAGE]);
    private long offset;

    /// What a file turned out to be.
    ///
    /// @param sum CRC32C
    record Written(long size, int sum) {}

    private MemoryFile() {}

    /// Writes `regions`, whole pages each, to an empty file, and to the disk.
    static Written write(Fd file, List<MemorySegment> regions) throws IOException {
        var memory = new MemoryFile();
        long size = 0;
        for (MemorySegment region : regions) {
            size += region.byteSize();
        }
        file.ftruncate(size);
        for (MemorySegment region : regions) {
            memory.writeRegion(file, region);
        }
        file.fdatasync();
        return new Written(size, (int) memory.sum.getValue());
    }

    private void writeRegion(Fd file, MemorySegment region) throws IOException {
        long start = 0; // of the run of pages that is to be written
        for (long at = 0; at < region.byteSize(); at += PAGE) {
            if (isZero(region, at)) {
                writeAll(file, region, start, at);
                start = at + PAGE;
            } else {
                add(region, at);
                if (at + PAGE - start >= MOST) {
                    writeAll(file, region, start, at + PAGE);
                    start = at + PAGE;
                }
            }
        }
        writeAll(file, region, start, region.byteSize());
        offset += region.byteSize();
    }

    private void writeAll(Fd file, MemorySegment region, long from, long to) throws IOException {
        long at = from;
        while (at < to) {
            at += file.pwrite(region.asSlice(at, to - at), offset + at);
        }
    }

    private boolean isZero(MemorySegment region, long at) {
        // most pages show in their first bytes that they are not
        return region.get(ValueLayout.JAVA_LONG, at) == 0
                && MemorySegment.mismatch(region, at, at + PAGE, zeros, 0, PAGE) < 0;
    }

    private void add(MemorySegment region, long at) {
        sum.update(offsetBytes.clear().putLong(offset + at).flip());
        sum.update(region.asSlice(at, PAGE).asByteBuffer());
    }

    /// The sum of a file that was written so.
    static int sum(Fd file, long size) throws IOException {
        var memory = new MemoryFile();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment mapped = Mmap.privateFile(arena, file, 0, size);
            for (long at = 0; at < size; at += PAGE) {
                if (!memory.isZero(mapped, at)) {
                    memory.add(mapped, at);
                }
            }
        }
        return (int) memory.sum.getValue();
    }
}
