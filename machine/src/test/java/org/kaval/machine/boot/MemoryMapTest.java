package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.memory.GuestRange;

class MemoryMapTest {
    private static final long MEBIBYTE = 1 << 20;
    private static final long GIBIBYTE = 1 << 30;
    private static final List<MemoryMap.Type> RESERVED =
            List.of(
                    MemoryMap.Type.RESERVED,
                    MemoryMap.Type.ACPI_RECLAIMABLE,
                    MemoryMap.Type.ACPI_NVS);

    private static MemoryMap.Entry entry(long base, long end, MemoryMap.Type type) {
        return new MemoryMap.Entry(new GuestRange(base, end - base), type);
    }

    @Test
    void smallMachineHasLowMemoryALegacyHoleAndTheRest() {
        MemoryMap map = MemoryMap.of(List.of(new GuestRange(0, 64 * MEBIBYTE)), List.of());

        assertEquals(
                List.of(
                        entry(0, 0x9_fc00, MemoryMap.Type.USABLE),
                        entry(0x9_fc00, MEBIBYTE, MemoryMap.Type.RESERVED),
                        entry(MEBIBYTE, 64 * MEBIBYTE, MemoryMap.Type.USABLE)),
                map.entries());
    }

    @Test
    void largeMachineHasRamAboveFourGib() {
        MemoryMap map =
                MemoryMap.of(
                        List.of(
                                new GuestRange(0, 3 * GIBIBYTE),
                                new GuestRange(4 * GIBIBYTE, GIBIBYTE)),
                        List.of());

        assertEquals(
                List.of(
                        new GuestRange(0, 0x9_fc00),
                        new GuestRange(MEBIBYTE, 3 * GIBIBYTE - MEBIBYTE),
                        new GuestRange(4 * GIBIBYTE, GIBIBYTE)),
                map.usable());
    }

    @Test
    void reservedRangesCutHolesAndMayLieOutsideRam() {
        MemoryMap map =
                MemoryMap.of(
                        List.of(new GuestRange(0, 64 * MEBIBYTE)),
                        List.of(
                                entry(0xb000_0000L, 0xc000_0000L, MemoryMap.Type.RESERVED),
                                entry(
                                        62 * MEBIBYTE,
                                        63 * MEBIBYTE,
                                        MemoryMap.Type.ACPI_RECLAIMABLE)));

        assertEquals(
                List.of(
                        entry(0, 0x9_fc00, MemoryMap.Type.USABLE),
                        entry(0x9_fc00, MEBIBYTE, MemoryMap.Type.RESERVED),
                        entry(MEBIBYTE, 62 * MEBIBYTE, MemoryMap.Type.USABLE),
                        entry(62 * MEBIBYTE, 63 * MEBIBYTE, MemoryMap.Type.ACPI_RECLAIMABLE),
                        entry(63 * MEBIBYTE, 64 * MEBIBYTE, MemoryMap.Type.USABLE),
                        entry(0xb000_0000L, 0xc000_0000L, MemoryMap.Type.RESERVED)),
                map.entries());
    }

    @Test
    void laterOneCountsWhereTwoOverlap() {
        MemoryMap map =
                MemoryMap.of(
                        List.of(new GuestRange(0, 4 * MEBIBYTE)),
                        List.of(
                                entry(2 * MEBIBYTE, 4 * MEBIBYTE, MemoryMap.Type.RESERVED),
                                entry(3 * MEBIBYTE, 4 * MEBIBYTE, MemoryMap.Type.ACPI_NVS)));

        assertEquals(
                List.of(
                        entry(2 * MEBIBYTE, 3 * MEBIBYTE, MemoryMap.Type.RESERVED),
                        entry(3 * MEBIBYTE, 4 * MEBIBYTE, MemoryMap.Type.ACPI_NVS)),
                map.entries().subList(3, 5));
    }

    @Test
    void typesHaveTheNumbersOfAcpi() {
        assertEquals(
                List.of(1, 2, 3, 4),
                List.of(MemoryMap.Type.values()).stream().map(MemoryMap.Type::code).toList());
    }

    @Test
    void moreEntriesThanTheZeroPageHoldsAreRefused() {
        List<MemoryMap.Entry> holes =
                LongStream.range(0, 63)
                        .map(i -> (2 + 2 * i) * MEBIBYTE)
                        .mapToObj(base -> entry(base, base + MEBIBYTE, MemoryMap.Type.RESERVED))
                        .toList();
        List<GuestRange> ram = List.of(new GuestRange(0, GIBIBYTE));

        assertThrows(IllegalArgumentException.class, () -> MemoryMap.of(ram, holes));
        assertEquals(127, MemoryMap.of(ram, holes.subList(0, 62)).entries().size());
    }

    static IntStream seeds() {
        return IntStream.range(0, 200);
    }

    /// Compares with a map that has a type for every page.
    @ParameterizedTest
    @MethodSource("seeds")
    void everyPageHasTheTypeOfTheLastRangeThatCoversIt(int seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        int pages = 1024; // 4 MiB, of which RAM is 2 to 3
        int ramPages = 512 + random.nextInt(256);
        List<MemoryMap.Entry> reserved =
                IntStream.range(0, random.nextInt(8)).mapToObj(_ -> range(random, pages)).toList();

        MemoryMap map = MemoryMap.of(List.of(new GuestRange(0, (long) ramPages << 12)), reserved);

        assertEquals(
                IntStream.range(0, pages)
                        .mapToObj(page -> expected(page, ramPages, reserved))
                        .toList(),
                IntStream.range(0, pages).mapToObj(page -> typeOf(page, map.entries())).toList(),
                "seed " + seed);
    }

    private static MemoryMap.Entry range(RandomGenerator random, int pages) {
        int base = random.nextInt(pages);
        int size = 1 + random.nextInt(pages - base);
        MemoryMap.Type type = RESERVED.get(random.nextInt(RESERVED.size()));
        return new MemoryMap.Entry(new GuestRange((long) base << 12, (long) size << 12), type);
    }

    private static String expected(int page, int ramPages, List<MemoryMap.Entry> reserved) {
        String ram = page < ramPages ? MemoryMap.Type.USABLE.toString() : "none";
        String legacy = page >= 0xa0 && page < 0x100 ? MemoryMap.Type.RESERVED.toString() : ram;
        String last = typeOf(page, reserved.reversed());
        return last.equals("none") ? legacy : last;
    }

    private static String typeOf(int page, List<MemoryMap.Entry> entries) {
        return entries.stream()
                .filter(entry -> entry.range().holds((long) page << 12, 0x400))
                .map(entry -> entry.type().toString())
                .findFirst()
                .orElse("none");
    }
}
