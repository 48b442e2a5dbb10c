package org.kaval.machine;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.RateLimit;
import org.kaval.devices.virtio.BalloonStatistics;
import org.kaval.devices.virtio.VirtioBalloon;
import org.kaval.devices.virtio.VirtioPorts;
import org.kaval.devices.virtio.VirtioRng;
import org.kaval.machine.boot.KernelBoot;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Debian's unmodified kernel has random numbers of the host, a virtio console, a port, a balloon,
/// a generation and somebody to tell of its panic.
@NeedsHardwareVirtualization
@NeedsFiles(value = SmallDevicesGuests.FOLDER, madeBy = SmallDevicesGuests.class)
class LinuxSmallDevicesTest {
    /// The nested host takes some ten seconds.
    private static final Duration LIMIT = Duration.ofMinutes(4);

    private static final int RANDOM_BLOCKS = 4; // of random ones, three fail once in 10^9 times
    private static final long MEBIBYTE = 1 << 20;
    private static final long MEMORY = 1024 * MEBIBYTE;
    private static final long BALLOON = 64 * MEBIBYTE;

    @TempDir private Path directory;
    private final Transcript console = new Transcript();
    private final VirtioBalloon balloon = new VirtioBalloon("balloon0");

    @Test
    void allAreThereAndWork() throws Exception {
        Path socket = directory.resolve("port");
        VirtioPorts ports =
                VirtioPorts.open(
                        "ports0",
                        List.of(
                                new VirtioPorts.Port("other", directory.resolve("other")),
                                new VirtioPorts.Port("org.kaval.test", socket)));
        try (Vm vm =
                Vm.builder()
                        .memory(MEMORY)
                        .boot(
                                KernelBoot.of(SmallDevicesGuests.kernel())
                                        .initrd(SmallDevicesGuests.initrd())
                                        .commandLine(
                                                "console=ttyS0 quiet panic=0 cryptomgr.notests"))
                        .serialOutput(console)
                        .virtioConsole(Virtio::pci)
                        .device(machine ->
                                Virtio.pci(VirtioRng.open("rng0", RateLimit.Rate.UNLIMITED))
                                        .attach(machine))
                        .device(Virtio.pci(balloon))
                        .device(Virtio.pci(ports))
                        .build()) {
            vm.resizeConsole(132, 43);
            vm.start();
            byte[] pasted = paste(vm);
            console.await("resize now", LIMIT);
            vm.renewGeneration();
            vm.resizeConsole(100, 30);
            throughPort(socket, pasted);
            until("the guest has closed the port", () -> !ports.isOpen("org.kaval.test"));
            giveMemoryBack(vm);
            assertEquals(new VmOutcome.Panicked(), vm.awaitExit(LIMIT), console.toString());
            check(pasted);
            List<String> lines = vm.diagnose().lines();
            assertTrue(lines.getFirst().startsWith("vcpu 0: "), lines.toString());
        }
    }

    private byte[] paste(Vm vm) throws InterruptedException {
        byte[] pasted = new byte[(int) MEBIBYTE];
        new Random(1).nextBytes(pasted);
        console.await("paste now", LIMIT);
        assertTrue(vm.typeSerialAll(pasted, 0, pasted.length));
        return pasted;
    }

    /// The guest sends back what it gets, and random numbers behind it.
    private static void throughPort(Path socket, byte[] bytes) throws Exception {
        try (SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            InputStream in = Channels.newInputStream(client);
            assertEquals("ready\n", new String(in.readNBytes(6), US_ASCII));
            ByteBuffer rest = ByteBuffer.wrap(bytes);
            while (rest.hasRemaining()) {
                client.write(rest);
            }
            assertArrayEquals(bytes, in.readNBytes(bytes.length));
            byte[] random = in.readNBytes(RANDOM_BLOCKS * Fips140.BLOCK);
            assertTrue(Fips140.passes(random) >= RANDOM_BLOCKS - 2, "random");
        }
    }

    private void giveMemoryBack(Vm vm) throws Exception {
        console.await("memory is full", LIMIT);
        long full = residentBytes();
        type(vm);
        console.await("memory is free", LIMIT);
        until("most of 512 MiB has come back", () -> full - residentBytes() > 448 * MEBIBYTE);

        balloon.setTarget(BALLOON);
        until("the balloon has grown", () -> balloon.size() == BALLOON);
        BalloonStatistics statistics = balloon.statistics(LIMIT).orElseThrow();
        assertTrue(statistics.total() < MEMORY, statistics.toString());
        assertTrue(statistics.free() < statistics.total() - BALLOON, statistics.toString());
        assertTrue(statistics.available() > 0, statistics.toString());
        balloon.setTarget(0);
        until("the balloon is empty", () -> balloon.size() == 0);
        type(vm);
    }

    private static void type(Vm vm) {
        assertEquals(2, vm.typeSerial(new byte[] {'g', 'o'}));
    }

    private void check(byte[] pasted) throws Exception {
        assertEquals(List.of(), console.facts("complaint"), console.toString());
        assertEquals(List.of("virtio_rng.0"), console.facts("hwrng"), console.toString());
        String[] random = console.facts("random").getFirst().split(" ", 2);
        assertEquals("4096", random[0]);
        assertTrue(Integer.parseInt(random[1]) > 240, random[1] + " different bytes");
        String hash = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(pasted));
        assertEquals(List.of(hash + "  -"), console.facts("pasted"), console.toString());
        assertEquals(List.of("43 132", "30 100"), console.facts("size"));
        assertEquals(
                List.of("\\_SB_.VGEN acpi:KAVL0001:VM_GEN_COUNTER:"),
                console.facts("generation at"));
        List<String> generations = console.facts("generation");
        assertEquals(2, generations.size());
        assertNotEquals(generations.getFirst(), generations.getLast());
        List<String> events = console.facts("events");
        assertEquals(2, events.size(), events.toString());
        assertNotEquals(events.getFirst(), events.getLast(), "how many there were");
        assertTrue(console.contains("Kernel panic - not syncing: sysrq"), console.toString());
    }

    private static long residentBytes() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
            return lines.filter(line -> line.startsWith("VmRSS:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10)
                    .sum();
        }
    }

    private void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + LIMIT.toNanos();
        while (!condition.call()) {
            assertTrue(System.nanoTime() < end, what + "\n" + console);
            Thread.sleep(10);
        }
    }
}
