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
import org.kaval.devices.net.NetBackend;
import org.kaval.devices.virtio.VirtioBlock;
import org.kaval.devices.virtio.VirtioNet;
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
    private static final int CARRIED_STEP = 1000;
    private static final long MAC = 0x02_00_00_00_00_01L;
    private static final long PEER_MAC = 0x02_00_00_00_00_02L;

    private static final String COMMAND_LINE =
            "console=ttyS0 quiet panic=-1 cryptomgr.notests net.ifnames=0";

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

    /// Boots a guest that sends back what comes over `cable`; returns once it does.
    static Vm bootPeer(NetBackend cable) throws IOException, InterruptedException {
        var console = new Transcript();
        Vm vm = booting(builder(cable, PEER_MAC, console), COMMAND_LINE + " peer").build();
        vm.start();
        console.await("peer: listens", LIMIT);
        return vm;
    }

    static CountingGuest boot(BlockImage disk, NetBackend cable, Transcript console)
            throws IOException {
        VmBuilder builder = builder(disk, cable, console).cpus(CPUS);
        return started(booting(builder, COMMAND_LINE).build(), console);
    }

    static CountingGuest restore(
            Snapshot snapshot, BlockImage disk, NetBackend cable, Transcript console)
            throws IOException {
        return started(builder(disk, cable, console).restore(snapshot), console);
    }

    private static VmBuilder booting(VmBuilder builder, String commandLine) throws IOException {
        return builder.memory(128L << 20)
                .boot(
                        KernelBoot.of(SnapshotGuests.kernel())
                                .initrd(SnapshotGuests.initrd())
                                .commandLine(commandLine));
    }

    private static VmBuilder builder(NetBackend cable, long mac, Transcript console) {
        var network = new VirtioNet("virtio-net0", cable, VirtioNet.Options.of(mac));
        return Vm.builder().serialOutput(console).device(Virtio.pci(network));
    }

    private static VmBuilder builder(BlockImage disk, NetBackend cable, Transcript console) {
        var device = new VirtioBlock("virtio-blk0", disk, VirtioBlock.Options.DEFAULT);
        return builder(cable, MAC, console).device(Virtio.pci(device));
    }

    private static CountingGuest started(Vm vm, Transcript console) {
        vm.start();
        return new CountingGuest(vm, console);
    }

    /// What it has counted so far, in whole lines: neither is a number missing nor is one there
    /// twice, and its clock does not go backwards.
    List<Tick> ticks() {
        var ticks = new ArrayList<Tick>();
        for (String line : console.lines().toList()) {
            if (line.startsWith("tick: ")) {
                String[] words = line.strip().split(" ", 3);
                var tick = new Tick(Integer.parseInt(words[1]), micros(words[2]));
                if (!ticks.isEmpty()) {
                    assertEquals(ticks.getLast().number + 1, tick.number, console::toString);
                    assertTrue(tick.time >= ticks.getLast().time, () -> "backwards: " + console);
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

    /// Waits until more numbers have come back from its peer.
    void awaitCarried() throws InterruptedException, IOException {
        List<String> carried = console.facts("carried");
        int last = carried.isEmpty() ? 0 : Integer.parseInt(carried.getLast());
        await(Pattern.compile("carried: %d\\D".formatted(last + 2 * CARRIED_STEP)));
    }

    /// Asks for something; returns the answer.
    String ask(String what) throws InterruptedException, IOException {
        int number = console.facts("answered").size() + 1;
        type("%d %s".formatted(number, what));
        await(Pattern.compile("answered: %d\\.\r?\n".formatted(number)));
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
