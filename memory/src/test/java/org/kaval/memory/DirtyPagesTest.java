package org.kaval.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DirtyPagesTest {
    @Test
    void pagesOfAllRegionsAreCounted() {
        var pages =
                new DirtyPages(
                        List.of(
                                new DirtyPages.Region(0, new long[] {0b101, -1}),
                                new DirtyPages.Region(1L << 32, new long[] {0, 1})));

        assertEquals(67, pages.count());
    }

    @Test
    void addressesComeInAscendingOrder() {
        var pages =
                new DirtyPages(
                        List.of(
                                new DirtyPages.Region(0x10000, new long[] {1L << 63 | 0b101, 0b10}),
                                new DirtyPages.Region(1L << 32, new long[] {0, 1})));
        var addresses = new ArrayList<Long>();

        pages.forEach(addresses::add);

        assertEquals(
                List.of(
                        0x10000L,
                        0x12000L,
                        0x10000L + 63 * 4096,
                        0x10000L + 65 * 4096,
                        (1L << 32) + 64 * 4096),
                addresses);
    }

    @Test
    void nothingWrittenIsNoPage() {
        var pages = new DirtyPages(List.of(new DirtyPages.Region(0, new long[] {0, 0})));
        var addresses = new ArrayList<Long>();

        pages.forEach(addresses::add);

        assertEquals(0, pages.count());
        assertEquals(List.of(), addresses);
    }
}
