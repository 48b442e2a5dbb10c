package org.kaval.vcpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.kaval.kvm.KvmExit;
import org.kaval.kvm.KvmVcpu;

class ExitStatisticsTest {
    private final ExitStatistics statistics = new ExitStatistics();

    @Test
    void nothingHasHappenedAtFirst() {
        assertEquals(Map.of(), statistics.counts());
        assertEquals(List.of(), statistics.recent());
    }

    @Test
    void exitsAreCountedByTheKernelsName() {
        statistics.count(KvmExit.IO);
        statistics.count(KvmExit.MMIO);
        statistics.count(KvmExit.IO);

        assertEquals(Map.of("IO", 2L, "MMIO", 1L), statistics.counts());
    }

    @Test
    void whatSomebodyAskedForIsCountedAsKicked() {
        statistics.count(KvmVcpu.INTERRUPTED);
        statistics.count(KvmVcpu.INTERRUPTED);

        assertEquals(Map.of("kicked", 2L), statistics.counts());
    }

    @Test
    void reasonWithoutANameIsCountedByNumber() {
        statistics.count(KvmExit.LIMIT - 1);

        assertEquals(Map.of("exit 63", 1L), statistics.counts());
    }

    @Test
    void recentExitsAreLinesForAPerson() {
        statistics.remember(KvmExit.IO, 0x3f8, -1);
        statistics.remember(KvmExit.IO, 0x60, 2);
        statistics.remember(KvmExit.MMIO, 0xfee0_0000L, 4);
        statistics.remember(KvmExit.MMIO, 0x2_0000_0000L, -8);
        statistics.remember(KvmExit.HLT, 0, 0);

        assertEquals(
                List.of(
                        "IO write 0x3f8, 1 bytes",
                        "IO read 0x60, 2 bytes",
                        "MMIO read 0xfee00000, 4 bytes",
                        "MMIO write 0x200000000, 8 bytes",
                        "HLT"),
                statistics.recent());
    }

    @Test
    void accessesAreCountedByAddress() {
        statistics.remember(KvmExit.IO, 0x3f8, -1);
        statistics.remember(KvmExit.IO, 0x3f8, -1);
        statistics.remember(KvmExit.MMIO, 0x3f8, 4);
        statistics.remember(KvmExit.HLT, 0, 0);

        assertEquals(
                List.of(
                        new ExitStatistics.Access(false, true, 0x3f8, 2),
                        new ExitStatistics.Access(true, false, 0x3f8, 1)),
                statistics.accesses());
    }

    @Test
    void sixteenExitsAreRemembered() {
        IntStream.range(0, 16).forEach(port -> statistics.remember(KvmExit.IO, port, 1));

        assertEquals(lines(0, 16), statistics.recent());
    }

    @Test
    void oldestExitsAreForgottenFirst() {
        IntStream.range(0, 37).forEach(port -> statistics.remember(KvmExit.IO, port, 1));

        assertEquals(lines(21, 37), statistics.recent());
    }

    private static List<String> lines(int first, int end) {
        return IntStream.range(first, end).mapToObj("IO read 0x%x, 1 bytes"::formatted).toList();
    }
}
