package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.machine.boot.KernelBoot;
import org.kaval.testing.AlsoOnVtX;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Debian's unmodified cloud kernel boots, finds the machine that was asked for, complains of
/// nothing in its ACPI tables, and ends as it wants to.
@NeedsHardwareVirtualization
@NeedsFiles(value = LinuxGuests.FOLDER, madeBy = LinuxGuests.class)
class LinuxBootTest {
    /// The nested host takes some ten seconds.
    private static final Duration LIMIT = Duration.ofMinutes(4);

    private static final String COMMAND_LINE = "console=ttyS0 quiet panic=-1 cryptomgr.notests";

    /// What the guest has told, and how it ended.
    private record Boot(VmOutcome outcome, String console) {
        Map<String, List<String>> facts() {
            return console.lines()
                    .map(line -> line.split(": ", 2))
                    .filter(parts -> parts.length == 2)
                    .collect(
                            Collectors.groupingBy(
                                    parts -> parts[0],
                                    Collectors.mapping(
                                            parts -> parts[1].strip(), Collectors.toList())));
        }

        String fact(String name) {
            List<String> values = facts().getOrDefault(name, List.of());
            assertEquals(1, values.size(), console);
            return values.getFirst();
        }
    }

    private static Boot boot(int cpus, long mebibytes, boolean fast, String end) throws Exception {
        var output = new ByteArrayOutputStream();
        KernelBoot kernel =
                KernelBoot.of(LinuxGuests.kernel())
                        .initrd(LinuxGuests.initrd())
                        .commandLine(COMMAND_LINE + " test.end=" + end)
                        .fastBoot(fast);
        VmOutcome outcome;
        try (Vm vm =
                Vm.builder()
                        .cpus(cpus)
                        .memory(mebibytes << 20)
                        .boot(kernel)
                        .serialOutput(output)
                        .build()) {
            vm.start();
            outcome = vm.awaitExit(LIMIT);
        }
        return new Boot(outcome, output.toString(StandardCharsets.ISO_8859_1)); // all has gone out
    }

    @ParameterizedTest
    @CsvSource({"1, 128, false", "2, 512, false", "4, 2048, true"})
    void findsTheMachineThatWasAskedFor(int cpus, long mebibytes, boolean fast) throws Exception {
        Boot boot = boot(cpus, mebibytes, fast, "poweroff");

        assertEquals(new VmOutcome.PoweredOff(), boot.outcome(), boot.console());
        assertEquals(Integer.toString(cpus), boot.fact("cpus"));
        // the kernel keeps some for itself before it counts
        long seen = Long.parseLong(boot.fact("memory")) >> 10;
        assertTrue(seen <= mebibytes && seen > mebibytes * 9 / 10 - 32, boot.console());
        assertEquals("kvm-clock", boot.fact("clock source"));
        assertEquals(List.of(), boot.facts().getOrDefault("complaint", List.of()));
        assertEquals("works", boot.fact("rtc"));
    }

    @Test
    void timeIsTheHosts() throws Exception {
        long before = Instant.now().getEpochSecond();
        Boot boot = boot(1, 256, true, "poweroff");
        long after = Instant.now().getEpochSecond();
        long guest = Long.parseLong(boot.fact("time"));
        assertTrue(before - 1 <= guest && guest <= after + 1, before + " " + guest + " " + after);
    }

    @Test
    void everyCpuHasItsTimer() throws Exception {
        Boot boot = boot(2, 256, true, "poweroff");
        List<Long> counts =
                boot
                        .fact("timer interrupts")
                        .replaceAll("[^0-9 ].*", "")
                        .strip()
                        .transform(line -> List.of(line.split(" +")))
                        .stream()
                        .map(Long::valueOf)
                        .toList();
        assertEquals(2, counts.size(), boot.console());
        assertTrue(counts.stream().allMatch(count -> count > 0), counts.toString());
    }

    @Test
    @AlsoOnVtX
    void rebootEndsAsSuch() throws Exception {
        Boot boot = boot(1, 128, false, "reboot");
        assertEquals(new VmOutcome.Rebooted(), boot.outcome(), boot.console());
        assertEquals("reboot", boot.fact("end"));
    }
}
