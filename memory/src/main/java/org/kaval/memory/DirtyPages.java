package org.kaval.memory;

import java.util.List;
import java.util.function.LongConsumer;
import org.kaval.linux.Mmap;

/// The pages that were written between two looks, by the guest or by a device.
public final class DirtyPages {
    private final List<Region> regions;

    DirtyPages(List<Region> regions) {
        this.regions = regions;
    }

    /// The bitmap of one region: bit 0 of the first word is the page at `base`.
    static final class Region {
        private final long base;
        private final long[] words;

        Region(long base, long[] words) {
            this.base = base;
            this.words = words;
        }
    }

    /// How many there are.
    public long count() {
        long count = 0;
        for (Region region : regions) {
            for (long word : region.words) {
                count += Long.bitCount(word);
            }
        }
        return count;
    }

    /// Hands on the guest-physical address of each page, in ascending order.
    public void forEach(LongConsumer page) {
        for (Region region : regions) {
            for (int i = 0; i < region.words.length; i++) {
                for (long rest = region.words[i]; rest != 0; rest &= rest - 1) {
                    long number = i * (long) Long.SIZE + Long.numberOfTrailingZeros(rest);
                    page.accept(region.base + number * Mmap.PAGE_SIZE);
                }
            }
        }
    }
}
