package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.testing.NeedsKvm;

/// The flight recorder hears of machines that were built before it, and of those after.
@NeedsKvm
class VmFlightTest {
    @TempDir private Path directory;

    private List<RecordedEvent> stop(Recording recording) throws Exception {
        recording.stop();
        Path file = directory.resolve("recording.jfr");
        recording.dump(file);
        return RecordingFile.readAllEvents(file);
    }

    private static List<String> lifecycle(List<RecordedEvent> events) {
        return events.stream()
                .filter(event -> event.getEventType().getName().equals("kaval.Lifecycle"))
                .map(event -> event.getString("what"))
                .toList();
    }

    private static <K> Map<K, Long> sums(
            List<RecordedEvent> events, String type, String key, Class<K> keyType) {
        var sums = new TreeMap<K, Long>();
        events.stream()
                .filter(event -> event.getEventType().getName().equals(type))
                .forEach(event ->
                        sums.merge(
                                keyType.cast(event.getValue(key)),
                                event.getLong("count"),
                                Long::sum));
        return sums;
    }

    private static Vm build() throws Exception {
        return Vm.builder().memory(16 << 20).boot(Guests.sendsByInterrupt("hello")).build();
    }

    @Test
    void exitsInterruptsAndLifeAreRecorded() throws Exception {
        try (var recording = new Recording()) {
            recording.enable("kaval.Exits").withPeriod(Duration.ofMillis(20));
            recording.enable("kaval.Interrupts").withPeriod(Duration.ofMillis(20));
            recording.start();
            Vm vm = build();
            vm.start();
            vm.awaitExit(Host.LIMIT);
            Map<String, Long> exits = vm.exitCounts();
            vm.close();

            List<RecordedEvent> events = stop(recording);

            assertEquals(exits, sums(events, "kaval.Exits", "reason", String.class));
            // the empty transmitter, first and after each byte
            assertEquals(Map.of(4, 6L), sums(events, "kaval.Interrupts", "line", Integer.class));
            assertEquals(List.of("started", "exited with code 7"), lifecycle(events));
            assertEquals(
                    List.of("vcpu-0"),
                    events.stream()
                            .filter(event -> event.hasField("bootVcpu"))
                            .map(event -> event.getThread("bootVcpu").getJavaName())
                            .distinct()
                            .toList());
        }
    }

    @Test
    void machineThatWasThereBeforeIsRecorded() throws Exception {
        try (Vm vm = Vm.builder().memory(16 << 20).boot(Guests.spins()).build()) {
            vm.start();
            try (var recording = new Recording()) {
                recording.start();
                vm.pause();
                vm.resume();
                vm.stop();

                assertEquals(List.of("paused", "resumed", "stopped"), lifecycle(stop(recording)));
            }
        }
    }

    @Test
    void machineThatIsClosedIsHeardOfNoMore() throws Exception {
        try (var recording = new Recording()) {
            recording.start();
            build().close();
            build().close();

            assertEquals(List.of("stopped", "stopped"), lifecycle(stop(recording)));
        }
    }
}
