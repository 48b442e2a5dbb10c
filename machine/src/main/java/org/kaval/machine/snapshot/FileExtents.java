package org.kaval.machine.snapshot;

import java.io.IOException;
import java.util.List;
import org.kaval.linux.Fd;

/// Where the file of a memory has data, the regions one behind the other; what lies between are
/// holes.
final class FileExtents {
    private FileExtents() {}

    /// Is told of each extent.
    interface Sink {
        /// @param offset in the file, in bytes
        /// @param length in bytes; it ends where its region does
        void accept(long offset, long length) throws IOException;
    }

    /// Finds the extents, in ascending order.
    ///
    /// @param sizes of the regions
    /// @param gap holes that are not larger than that, in bytes, count as data between data
    static void forEach(Fd file, List<Long> sizes, long gap, Sink sink) throws IOException {
        long begin = 0;
        for (long size : sizes) {
            long end = begin + size;
            long from = dataAt(file, begin, end);
            while (from < end) {
                long to = Math.min(file.seekHole(from), end);
                long next = dataAt(file, to, end);
                while (next < end && next - to <= gap) {
                    to = Math.min(file.seekHole(next), end);
                    next = dataAt(file, to, end);
                }
                sink.accept(from, to - from);
                from = next;
            }
            begin = end;
        }
    }

    private static long dataAt(Fd file, long from, long end) throws IOException {
        long at = from < end ? file.seekData(from) : -1;
        return at < 0 ? end : Math.min(at, end);
    }
}
