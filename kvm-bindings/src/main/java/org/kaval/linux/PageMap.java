package org.kaval.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.BitSet;

/// Which pages of its memory this process has (`/proc/self/pagemap` of proc(5)).
///
/// One thread.
public final class PageMap implements AutoCloseable {
    private static final Path FILE = Path.of("/proc/self/pagemap");

    // Documentation/admin-guide/mm/pagemap.rst
    private static final long PRESENT = 1L << 63;
    private static final long SWAPPED = 1L << 62;
    private static final long OF_A_FILE = 1L << 61;

    /// What a look takes at once, in pages: 32 MiB of memory.
    private static final int STEP = 8192;

    private final Fd file;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment entries = arena.allocate(ValueLayout.JAVA_LONG, STEP);

    private PageMap(Fd file) {
        this.file = file;
    }

    public static PageMap open() throws ErrnoException {
        return new PageMap(Fd.open(FILE, Fd.Access.READ));
    }

    /// Sets a bit for each page of private memory that is this process' own: that it has written,
    /// or, if there is no file below, touched. The others are as the file has them, or zeroes.
    ///
    /// @param memory a private mapping, whole pages
    /// @param first the bit of its first page
    public void addOwn(MemorySegment memory, BitSet pages, int first) throws ErrnoException {
        int count = Math.toIntExact(memory.byteSize() / Mmap.PAGE_SIZE);
        long at = memory.address() / Mmap.PAGE_SIZE;
        int done = 0;
        while (done < count) {
            long bytes = (long) Math.min(STEP, count - done) * Long.BYTES;
            long read = file.pread(entries.asSlice(0, bytes), (at + done) * Long.BYTES);
            if (read < Long.BYTES) {
                throw new ErrnoException("read", FILE.toString(), Errno.EIO);
            }
            int got = (int) (read / Long.BYTES);
            for (int i = 0; i < got; i++) {
                long entry = entries.getAtIndex(ValueLayout.JAVA_LONG, i);
                if ((entry & (PRESENT | SWAPPED)) != 0 && (entry & OF_A_FILE) == 0) {
                    pages.set(first + done + i);
                }
            }
            done += got;
        }
    }

    @Override
    public void close() {
        file.close();
        arena.close();
    }
}
