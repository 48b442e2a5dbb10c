package org.kaval.vcpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TopologyTest {
    @Test
    void oneVcpuHasApicIdZeroInNoBits() {
        var topology = Topology.ofCores(1);

        assertEquals(1, topology.vcpus());
        assertEquals(0, topology.apicId(0));
        assertEquals(0, topology.threadBits());
        assertEquals(0, topology.socketShift());
    }

    @Test
    void coresAreNumberedWithoutGaps() {
        assertEquals(List.of(0, 1, 2, 3, 4), apicIds(Topology.ofCores(5)));
    }

    @Test
    void apicIdsHaveGapsWhereACountIsNoPowerOfTwo() {
        // bit 3: socket; bits 2 and 1: core, 0 to 2; bit 0: thread
        assertEquals(
                List.of(0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13), apicIds(new Topology(2, 3, 2)));
    }

    @ParameterizedTest
    @CsvSource({
        // sockets, cores, threads, thread bits, socket shift
        "1, 1, 2, 1, 1",
        "1, 2, 1, 0, 1",
        "1, 3, 1, 0, 2",
        "1, 4, 1, 0, 2",
        "1, 5, 1, 0, 3",
        "4, 3, 3, 2, 4",
        "8, 1, 1, 0, 0",
        "1, 128, 1, 0, 7",
        "1, 129, 1, 0, 8",
    })
    void fieldsAreAsWideAsTheirCountsNeed(
            int sockets, int cores, int threads, int threadBits, int socketShift) {
        var topology = new Topology(sockets, cores, threads);

        assertEquals(threadBits, topology.threadBits());
        assertEquals(socketShift, topology.socketShift());
    }

    @ParameterizedTest
    @CsvSource({"1, 255, 1", "255, 1, 1", "1, 1, 255", "1, 127, 2", "15, 16, 1", "3, 3, 15"})
    void apicIdsAreDistinctAndAscendAndNoneMeansAll(int sockets, int cores, int threads) {
        var topology = new Topology(sockets, cores, threads);

        List<Integer> ids = apicIds(topology);

        assertEquals(sockets * cores * threads, topology.vcpus());
        assertEquals(ids.stream().sorted().distinct().toList(), ids);
        assertTrue(ids.getLast() < 255, () -> "the last is " + ids.getLast());
    }

    @ParameterizedTest
    @CsvSource({
        "0, 1, 1",
        "1, 0, 1",
        "1, 1, 0",
        "-1, -1, 1",
        "1, 256, 1",
        "10000, 1, 1",
        "1, 10000, 1",
        "1, 1, 10000",
        "16, 16, 1",
        "65536, 65536, 1", // the product is 0 in 32 bits
        "1, 65536, 65536",
        "2, 1073741824, 2",
        "2147483647, 2147483647, 2147483647",
        "-2147483648, 2, 1",
    })
    void impossibleNumbersAreRefused(int sockets, int cores, int threads) {
        var refusal =
                assertThrows(
                        IllegalArgumentException.class,
                        () -> new Topology(sockets, cores, threads));

        assertEquals(
                "%d sockets of %d cores of %d threads; 1 to 255 vCPUs are possible"
                        .formatted(sockets, cores, threads),
                refusal.getMessage());
    }

    @ParameterizedTest
    @CsvSource({
        "3, 65, 1", // 195 vCPUs, and the third socket begins at 256
        "3, 1, 65",
        "5, 33, 1",
        "17, 9, 1",
    })
    void gapsMayMakeApicIdsTooLarge(int sockets, int cores, int threads) {
        var refusal =
                assertThrows(
                        IllegalArgumentException.class,
                        () -> new Topology(sockets, cores, threads));

        assertEquals(
                "%d sockets of %d cores of %d threads need APIC ids beyond 254"
                        .formatted(sockets, cores, threads),
                refusal.getMessage());
    }

    @Test
    void gapsThatFitAreAllowed() {
        assertEquals(254, new Topology(2, 127, 1).apicId(253));
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 12, Integer.MAX_VALUE, Integer.MIN_VALUE})
    void vcpuThatIsNotThereHasNoApicId(int index) {
        var topology = new Topology(2, 3, 2);

        assertThrows(IndexOutOfBoundsException.class, () -> topology.apicId(index));
    }

    private static List<Integer> apicIds(Topology topology) {
        return IntStream.range(0, topology.vcpus()).map(topology::apicId).boxed().toList();
    }
}
