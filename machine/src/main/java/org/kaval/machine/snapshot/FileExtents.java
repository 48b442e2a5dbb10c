package org.kaval.machine.snapshot;

import java.io.IOException;
import java.util.List;
import org.kaval.linux.Fd;
import org.kaval.linux.Mmap;

/// Where the file of a memory has data, the regions one behind the other; what lies between are
/// holes, which read as zeros.
final class FileExtents {
    private static final long PAGE = Mmap.PAGE_SIZE;

    private final Fd file;
    private final long gap;

    private FileExtents(Fd file, long gap) {
        this.file = file;
        this.gap = gap;
    }

    /// Is told of each extent.
    interface Sink {
        /// @param offset in the file, in bytes; a multiple of the page size
        /// @param length in bytes, a multiple of it, too; it ends where its region does
        void accept(long offset, long length) throws IOException;
    }

    /// Finds the extents, in ascending order.
    ///
    /// @param sizes of the regions
    /// @param gap holes between data that are not larger than that, in bytes, count as data
    static void forEach(Fd file, List<Long> sizes, long gap, Sink sink) throws IOException {
        var extents = new FileExtents(file, gap);
        long begin = 0;
        for (long size : sizes) {
            extents.forEach(begin, begin + size, sink);
            begin += size;
        }
    }

    private void forEach(long begin, long end, Sink sink) throws IOException {
        long from = data(begin, end);
        while (from < end) {
            long to = hole(from, end);
            long next = data(to, end);
            while (next < end && next - to <= gap) {
                to = hole(next, end);
                next = data(to, end);
            }
            sink.accept(from, to - from);
            from = next;
        }
    }

    /// Where the first page with data begins; a file system may have blocks smaller than pages.
    private long data(long from, long end) throws IOException {
        long at = from < end ? file.seekData(from) : -1;
        return at < 0 ? end : Math.min(at & -PAGE, end);
    }

    private long hole(long from, long end) throws IOException {
        return Math.min((file.seekHole(from) + PAGE - 1) & -PAGE, end);
    }
}
