package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.block.RawImage;
import org.kaval.devices.virtio.VirtioBlock;
import org.kaval.machine.boot.KernelBoot;
import org.kaval.testing.Effort;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Debian's unmodified kernel with two vCPUs counts, and writes to its disk and reads again, while
/// it is snapshotted and restored over and over.
@NeedsHardwareVirtualization
@NeedsFiles(value = SnapshotGuests.FOLDER, madeBy = SnapshotGuests.class)
class LinuxSnapshotTest {
    private static final Duration LIMIT = Duration.ofMinutes(4);
    private static final int ROUNDS = Effort.times(20);
    private static final int TICKS = 3;

    /// A guest's clock begins with the whole second of the RTC, and is printed as one.
    private static final int CLOCK_TOLERANCE = 3;

    @TempDir private Path directory;

    private VmBuilder builder(Path disk, Transcript console) throws Exception {
        return Vm.builder()
                .serialOutput(console)
                .device(
                        Virtio.pci(
                                new VirtioBlock(
                                        "virtio-blk0",
                                        RawImage.open(disk, ImageOptions.WRITABLE),
                                        VirtioBlock.Options.DEFAULT)));
    }

    private static int awaitTicks(Transcript console, int from) throws InterruptedException {
        console.await("tick: %d ".formatted(from + TICKS), LIMIT);
        return from + TICKS;
    }

    /// What the guest has counted: neither is a number missing nor is one there twice.
    private static List<Long> times(Transcript console) {
        var times = new ArrayList<Long>();
        for (String tick : console.facts("tick")) {
            String[] numberAndTime = tick.split(" ", 2);
            if (numberAndTime.length < 2) {
                break; // it is being written
            }
            assertEquals(times.size() + 1, Integer.parseInt(numberAndTime[0]), console.toString());
            times.add(Long.parseLong(numberAndTime[1]));
        }
        return times;
    }

    private static void end(Vm vm, Transcript console) throws Exception {
        vm.typeSerial("enough\n".getBytes(StandardCharsets.US_ASCII));
        assertEquals(new VmOutcome.PoweredOff(), vm.awaitExit(LIMIT), console.toString());
        assertEquals("enough", console.fact("line"));
        assertEquals("2", console.fact("cpus"));
        assertEquals(List.of(), console.facts("complaint"), console.toString());
        List<Long> times = times(console);
        for (int i = 1; i < times.size(); i++) {
            assertTrue(times.get(i) >= times.get(i - 1), "backwards: " + console);
        }
    }

    @Test
    void guestGoesOnAndOnAndItsClockWithTheHosts() throws Exception {
        Path disk = directory.resolve("disk");
        Files.write(disk, new byte[4 << 20]);
        Path snapshot = directory.resolve("snapshot");
        Path first = directory.resolve("first");
        var console = new Transcript();
        String untilFirst;
        int ticks;
        try (Vm vm =
                builder(disk, console)
                        .cpus(2)
                        .memory(128L << 20)
                        .boot(
                                KernelBoot.of(SnapshotGuests.kernel())
                                        .initrd(SnapshotGuests.initrd())
                                        .commandLine(
                                                "console=ttyS0 quiet panic=-1 cryptomgr.notests"))
                        .build()) {
            vm.start();
            ticks = awaitTicks(console, 0);
            vm.pause();
            vm.snapshot(first);
            vm.stop();
            untilFirst = console.toString();
        }
        Path diskOfFirst = Files.copy(disk, directory.resolve("disk-of-first"));
        Path from = first;
        for (int i = 0; i < ROUNDS; i++) {
            try (Vm vm = builder(disk, console).restore(from)) {
                vm.start();
                ticks = awaitTicks(console, ticks);
                vm.pause();
                vm.snapshot(snapshot);
                vm.stop();
            }
            from = snapshot;
        }
        try (Vm vm = builder(disk, console).restore(from)) {
            vm.start();
            awaitTicks(console, ticks);
            end(vm, console);
        }
        // the first one again, some time later
        var clone = new Transcript();
        clone.write(untilFirst.getBytes(StandardCharsets.ISO_8859_1));
        int firstTicks = times(clone).size();
        try (Vm vm = builder(diskOfFirst, clone).restore(first)) {
            vm.start();
            int last = awaitTicks(clone, firstTicks);
            long host = Instant.now().getEpochSecond();
            clone.await("tick: %d ".formatted(last + 1), LIMIT); // the line before is whole
            long guest = times(clone).get(last - 1);
            assertTrue(Math.abs(host - guest) <= CLOCK_TOLERANCE, host + ", guest " + guest);
            end(vm, clone);
        }
    }
}
