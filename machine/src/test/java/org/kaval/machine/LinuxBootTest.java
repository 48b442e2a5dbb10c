package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.machine.LinuxKernel.Protocol;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;
import org.kaval.vcpu.Topology;

/// Debian's unmodified kernels boot by every protocol, find the machine that was asked for, and
/// complain of nothing.
@NeedsHardwareVirtualization
@NeedsFiles(value = LinuxGuests.FOLDER, madeBy = LinuxGuests.class)
class LinuxBootTest {
    /// The nested host takes some ten seconds for a boot.
    private static final Duration LIMIT = Duration.ofMinutes(4);

    private static final String COMMAND_LINE = "console=ttyS0 quiet panic=-1 cryptomgr.notests";

    /// Where Linux is linked to be, and is without KASLR.
    private static final String LINKED_AT = "ffffffff81000000";

    private static Transcript boot(
            LinuxKernel kernel, Protocol protocol, Topology cpus, long mebibytes) throws Exception {
        var console = new Transcript();
        try (Vm vm =
                Vm.builder()
                        .cpus(cpus.sockets(), cpus.cores(), cpus.threads())
                        .memory(mebibytes << 20)
                        .boot(kernel.by(protocol).commandLine(COMMAND_LINE))
                        .serialOutput(console)
                        .build()) {
            vm.start();
            assertEquals(new VmOutcome.PoweredOff(), vm.awaitExit(LIMIT), console.toString());
        }
        return console;
    }

    @ParameterizedTest
    @CsvSource({
        "CLOUD,    BZIMAGE, 1, 1, 1, 128",
        "CLOUD,    FAST,    1, 1, 2, 6144",
        "CLOUD,    PVH,     2, 1, 2, 6144",
        "CLOUD,    ELF,     1, 1, 1, 256",
        "STANDARD, BZIMAGE, 1, 2, 1, 6144",
        "STANDARD, FAST,    2, 1, 1, 128",
        "STANDARD, PVH,     1, 1, 1, 512",
    })
    void findsTheMachineThatWasAskedFor(
            LinuxKernel kernel,
            Protocol protocol,
            int sockets,
            int cores,
            int threads,
            long mebibytes)
            throws Exception {
        var topology = new Topology(sockets, cores, threads);
        Transcript console = boot(kernel, protocol, topology, mebibytes);

        assertTrue(
                console.fact("release").endsWith(kernel == LinuxKernel.CLOUD ? "cloud-amd64" : ""));
        assertEquals(Integer.toString(topology.vcpus()), console.fact("cpus"));
        assertEquals(cpus(topology), console.facts("cpu"));
        assertEquals(memory(mebibytes << 20), console.facts("e820"));
        checkSeenMemory(console, mebibytes);
        checkInterrupts(console, topology.vcpus());
        assertEquals("kvm-clock", console.fact("clock source"));
        assertTrue(console.fact("rtc").startsWith("rtc_cmos"), console.toString());
        checkComplaints(console);
        if (protocol != Protocol.BZIMAGE) {
            assertEquals(LINKED_AT, console.fact("kaslr"));
        }
    }

    /// What `/sys/devices/system/cpu/cpuN/topology` has.
    private static List<String> cpus(Topology topology) {
        var cpus = new ArrayList<String>();
        int threads = topology.threads();
        for (int cpu = 0; cpu < topology.vcpus(); cpu++) {
            int core = cpu / threads;
            int first = core * threads;
            cpus.add(
                    "%d package %d core %d threads %s"
                            .formatted(
                                    cpu,
                                    core / topology.cores(),
                                    core % topology.cores(),
                                    threads == 1
                                            ? Integer.toString(cpu)
                                            : first + "-" + (first + threads - 1)));
        }
        return cpus;
    }

    /// The memory map of `bytes` of RAM, as the kernel prints it: first page to last byte.
    private static List<String> memory(long bytes) {
        long low = Math.min(bytes, AddressMap.LOW_RAM_END);
        var ranges = new ArrayList<String>();
        ranges.add(range(0, 0x9_fc00, "usable"));
        ranges.add(range(0x9_fc00, 0x10_0000, "reserved")); // screen, ROMs, ACPI tables
        ranges.add(range(0x10_0000, low, "usable"));
        ranges.add(range(AddressMap.PCI_ECAM.base(), AddressMap.PCI_ECAM.end(), "reserved"));
        if (bytes > low) {
            long high = AddressMap.HIGH_RAM_BASE;
            ranges.add(range(high, high + bytes - low, "usable"));
        }
        return ranges;
    }

    private static String range(long base, long end, String type) {
        return "%016x %016x %s".formatted(base, end - 1, type);
    }

    /// The kernel keeps some for itself before it counts: 64 bytes of each 4 KiB, and its own.
    private static void checkSeenMemory(Transcript console, long mebibytes) {
        long seen = Long.parseLong(console.fact("memory")) >> 10;
        assertTrue(
                seen <= mebibytes && seen > mebibytes * 97 / 100 - 80,
                () -> seen + " MiB of " + mebibytes + "\n" + console);
    }

    private static void checkInterrupts(Transcript console, int cpus) {
        long[] before = numbers(console.fact("timers before"));
        long[] after = numbers(console.fact("timers after"));
        assertEquals(cpus, after.length, console.toString());
        assertTrue(
                LongStream.range(0, cpus).allMatch(cpu -> after[(int) cpu] > before[(int) cpu]),
                console.toString());
        List<String> lines = console.facts("interrupt");
        assertTrue(
                lines.containsAll(
                        List.of("1-edge i8042", "4-edge ttyS0", "8-edge rtc0", "9-fasteoi acpi")),
                lines.toString());
        String ioapic = console.fact("ioapic");
        assertTrue(
                ioapic.matches("apic_id 0, version (17|32), address 0xfec00000, GSI 0-23"), ioapic);
    }

    /// The kernel complains of nothing that it does not complain of under QEMU, on the same KVM.
    private static void checkComplaints(Transcript console) throws IOException {
        List<String> known = Files.readAllLines(LinuxGuests.complaintsUnderQemu());
        assertTrue(known.size() > 1, "a list of complaints without any");
        List<String> complaints =
                console.facts("complaint").stream()
                        .filter(complaint -> !known.contains(complaint))
                        .toList();
        assertEquals(List.of(), complaints, () -> known.getFirst());
    }

    private static long[] numbers(String line) {
        return Stream.of(line.strip().split(" +", -1)).mapToLong(Long::parseLong).toArray();
    }

    @Test
    void clocksAreTheHosts() throws Exception {
        var console = new Transcript();
        Instant before;
        Instant after;
        try (Vm vm =
                Vm.builder()
                        .memory(128L << 20)
                        .boot(
                                LinuxKernel.CLOUD
                                        .by(Protocol.FAST)
                                        .commandLine(COMMAND_LINE + " test.clock=yes"))
                        .serialOutput(console)
                        .build()) {
            vm.start();
            console.await("which time is it?", LIMIT);
            before = Instant.now();
            vm.typeSerial(new byte[] {'\n'});
            console.await("end: ", LIMIT);
            after = Instant.now();
        }
        String[] times = console.fact("time").split(" ", -1);
        Instant guest =
                Instant.EPOCH.plusNanos(
                        new BigDecimal(times[0]).movePointRight(9).longValueExact());
        Instant rtc = Instant.ofEpochSecond(Long.parseLong(times[1]));

        String all = "%s, guest %s, RTC %s, %s".formatted(before, guest, rtc, after);
        assertTrue(guest.isAfter(before.minusSeconds(1)), all);
        assertTrue(guest.isBefore(after.plusSeconds(1)), all);
        assertTrue(rtc.isAfter(before.minusSeconds(2)), all); // it has whole seconds
        assertTrue(rtc.isBefore(after.plusSeconds(1)), all);
    }
}
