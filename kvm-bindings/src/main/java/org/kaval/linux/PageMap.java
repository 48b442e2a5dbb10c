package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
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

    // linux/fs.h, since Linux 6.7
    private static final long PAGEMAP_SCAN = 0xc060_6610L; // _IOWR('f', 16, struct pm_scan_arg)
    private static final long PAGE_IS_FILE = 1 << 2;
    private static final long PAGE_IS_PRESENT = 1 << 3;
    private static final long PAGE_IS_SWAPPED = 1 << 4;

    // struct pm_scan_arg, which has numbers of 64 bits only
    private static final int ARG_SIZE = 0;
    private static final int ARG_START = 2;
    private static final int ARG_END = 3;
    private static final int ARG_WALK_END = 4;
    private static final int ARG_VEC = 5;
    private static final int ARG_VEC_LEN = 6;
    private static final int ARG_CATEGORY_INVERTED = 8;
    private static final int ARG_CATEGORY_MASK = 9;
    private static final int ARG_CATEGORY_ANYOF_MASK = 10;
    private static final int ARG_LENGTH = 12;

    /// `struct page_region` is a start, an end and categories.
    private static final int REGION_LENGTH = 3;

    private static final int MAX_REGIONS = 1024;

    private final Fd file;
    private final Arena arena = Arena.ofConfined();
    private boolean scans; // the kernel looks for the pages itself, as far as it has been asked

    private PageMap(Fd file, boolean scans) {
        this.file = file;
        this.scans = scans;
    }

    public static PageMap open() throws ErrnoException {
        return open(true);
    }

    /// @param scans whether the kernel may look for the pages itself, if it can
    static PageMap open(boolean scans) throws ErrnoException {
        return new PageMap(Fd.open(FILE, Fd.Access.READ), scans);
    }

    /// Sets a bit for each page of private memory that is this process' own: that it has written,
    /// or, if there is no file below, touched. The others are as the file has them, or zeroes.
    ///
    /// @param memory a private mapping, whole pages
    /// @param first the bit of its first page
    public void addOwn(MemorySegment memory, BitSet pages, int first) throws ErrnoException {
        if (!scan(memory, pages, first)) {
            read(memory, pages, first);
        }
    }

    /// @return false if the kernel cannot (before Linux 6.7); some bits may be set then
    private boolean scan(MemorySegment memory, BitSet pages, int first) throws ErrnoException {
        if (!scans) {
            return false;
        }
        MemorySegment argument = arena.allocate(JAVA_LONG, ARG_LENGTH);
        MemorySegment regions = arena.allocate(JAVA_LONG, MAX_REGIONS * REGION_LENGTH);
        long begin = memory.address();
        long end = begin + memory.byteSize();
        argument.setAtIndex(JAVA_LONG, ARG_SIZE, argument.byteSize());
        argument.setAtIndex(JAVA_LONG, ARG_END, end);
        argument.setAtIndex(JAVA_LONG, ARG_VEC, regions.address());
        argument.setAtIndex(JAVA_LONG, ARG_VEC_LEN, MAX_REGIONS);
        argument.setAtIndex(JAVA_LONG, ARG_CATEGORY_INVERTED, PAGE_IS_FILE);
        argument.setAtIndex(JAVA_LONG, ARG_CATEGORY_MASK, PAGE_IS_FILE);
        argument.setAtIndex(JAVA_LONG, ARG_CATEGORY_ANYOF_MASK, PAGE_IS_PRESENT | PAGE_IS_SWAPPED);
        for (long at = begin; at < end; at = argument.getAtIndex(JAVA_LONG, ARG_WALK_END)) {
            argument.setAtIndex(JAVA_LONG, ARG_START, at);
            long found = file.tryIoctl(PAGEMAP_SCAN, argument.address());
            if (found < 0) { // an older kernel, or whoever stands in for one
                scans = false;
                return false;
            }
            for (int i = 0; i < found; i++) {
                long from = regions.getAtIndex(JAVA_LONG, (long) i * REGION_LENGTH);
                long to = regions.getAtIndex(JAVA_LONG, (long) i * REGION_LENGTH + 1);
                pages.set(first + pages(from - begin), first + pages(to - begin));
            }
        }
        return true;
    }

    private void read(MemorySegment memory, BitSet pages, int first) throws ErrnoException {
        MemorySegment entries = arena.allocate(JAVA_LONG, STEP);
        int count = pages(memory.byteSize());
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
                long entry = entries.getAtIndex(JAVA_LONG, i);
                if ((entry & (PRESENT | SWAPPED)) != 0 && (entry & OF_A_FILE) == 0) {
                    pages.set(first + done + i);
                }
            }
            done += got;
        }
    }

    private static int pages(long bytes) {
        return Math.toIntExact(bytes / Mmap.PAGE_SIZE);
    }

    @Override
    public void close() {
        file.close();
        arena.close();
    }
}
