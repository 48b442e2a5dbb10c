package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.kaval.devices.block.BlockImage;
import org.kaval.devices.virtio.VirtioBlock;
import org.kaval.machine.boot.KernelBoot;
import org.kaval.machine.snapshot.Snapshot;
import org.kaval.testing.Effort;

/// A machine with the guest of {@link SnapshotGuests}, and what that has written to its console.
///
/// @param console of the guest since it was booted, or of a copy since it is one
record CountingGuest(Vm vm, Transcript console) implements AutoCloseable {
    static final int CPUS = 4;

    /// Only a hang takes as long.
    private static final Duration LIMIT = Duration.ofMinutes(Effort.isFull() ? 30 : 10);

    private static final Pattern TICK = Pattern.compile("^tick: [^\n]*\n", Pattern.MULTILINE);
    private static final int FEW = 3;

    /// What the guest has counted, and when by its own clock, in microseconds.
    record Tick(int number, long time) {}

    /// By how many microseconds a guest's clock is ahead of the host's: it was asked between two
    /// looks at that.
    record Ahead(long least, long most) {
        private static final long TOLERANCE = 1_000_000;

        /// The guest's clock begins with a whole second of the RTC, so it is not the host's; it
        /// goes on as the host's does.
        void assertStill(Ahead before) {
            assertTrue(
                    least - before.most <= TOLERANCE && before.least - most <= TOLERANCE,
                    "%s, before %s".formatted(this, before));
        }
    }

    static CountingGuest boot(BlockImage disk, Transcript console) throws IOException {
        Vm vm =
                builder(disk, console)
                        .cpus(CPUS)
                        .memory(128L << 20)
                        .boot(
                                KernelBoot.of(SnapshotGuests.kernel())
                                        .initrd(SnapshotGuests.initrd())
                                        .commandLine(
                                                "console=ttyS0 quiet panic=-1 cryptomgr.notests"))
                        .build();
        return started(vm, console);
    }

    static CountingGuest restore(Snapshot snapshot, BlockImage disk, Transcript console)
            throws IOException {
        return started(builder(disk, console).restore(snapshot), console);
    }

    private static VmBuilder builder(BlockImage disk, Transcript console) {
        var device = new VirtioBlock("virtio-blk0", disk, VirtioBlock.Options.DEFAULT);
        return Vm.builder().serialOutput(console).device(Virtio.pci(device));
    }

    private static CountingGuest started(Vm vm, Transcript console) {
        vm.start();
        return new CountingGuest(vm, console);
    }

    /// What it has counted so far, in whole lines: neither is a number missing nor is one there
    /// twice, and its clock does not go backwards.
    List<Tick> ticks() {
        var ticks = new ArrayList<Tick>();
        String text = console.toString();
        String whole = text.substring(0, text.lastIndexOf('\n') + 1);
        for (String line : whole.lines().toList()) {
            if (line.startsWith("tick: ")) {
                String[] words = line.strip().split(" ", 3);
                var tick = new Tick(Integer.parseInt(words[1]), micros(words[2]));
                if (!ticks.isEmpty()) {
                    assertEquals(ticks.getLast().number + 1, tick.number, text);
                    assertTrue(tick.time >= ticks.getLast().time, "backwards: " + text);
                }
                ticks.add(tick);
            }
        }
        return ticks;
    }

    private static long micros(String seconds) {
        return Long.parseLong(seconds.replace(".", ""));
    }

    private void await(Pattern form) throws InterruptedException, IOException {
        try {
            console.await(form, LIMIT);
        } catch (AssertionError e) {
            throw new AssertionError(String.join("\n", vm.diagnose().lines()), e);
        }
    }

    /// Waits until it has counted so many more.
    void awaitTicks(int count) throws InterruptedException, IOException {
        await(TICK);
        await(Pattern.compile("tick: %d ".formatted(ticks().getLast().number + count + 1)));
    }

    void awaitTicks() throws InterruptedException, IOException {
        awaitTicks(FEW);
    }

    /// Asks for something; returns the answer.
    String ask(String what) throws InterruptedException, IOException {
        int number = console.facts("answered").size() + 1;
        type("%d %s".formatted(number, what));
        await(Pattern.compile("answered: %d\\.".formatted(number)));
        return console.fact("answer " + number);
    }

    private void type(String line) throws InterruptedException {
        byte[] bytes = (line + "\n").getBytes(StandardCharsets.US_ASCII);
        assertTrue(vm.typeSerialAll(bytes, 0, bytes.length), console.toString());
    }

    /// Asks for the time.
    Ahead clock() throws InterruptedException, IOException {
        long before = hostMicros();
        long guest = micros(ask("time"));
        return new Ahead(guest - hostMicros(), guest - before);
    }

    private static long hostMicros() {
        return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
    }

    /// Has it compare all that it has written, and end.
    void end() throws InterruptedException {
        type("0 enough");
        assertEquals(new VmOutcome.PoweredOff(), vm.awaitExit(LIMIT), console.toString());
        assertEquals(String.valueOf(CPUS), console.fact("cpus"));
        assertEquals(List.of(), console.facts("complaint"), console.toString());
        assertTrue(Integer.parseInt(console.fact("compared")) > 0);
        assertFalse(ticks().isEmpty());
    }

    @Override
    public void close() {
        vm.close();
    }
}
