package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.block.RawImage;
import org.kaval.devices.virtio.VirtioBlock;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.machine.boot.KernelBoot;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Debian's unmodified kernel has a virtio disk, over PCI and over MMIO: it reads what is there,
/// and what it writes is in the file.
@NeedsHardwareVirtualization
@NeedsFiles(value = DiskGuests.FOLDER, madeBy = DiskGuests.class)
class LinuxDiskTest {
    /// The nested host takes some ten seconds.
    private static final Duration LIMIT = Duration.ofMinutes(4);

    private static final int MEBIBYTE = 1 << 20;
    private static final int SIZE = 4 * MEBIBYTE;

    @TempDir private Path directory;

    /// What the guest told, by name.
    private Map<String, List<String>> run(Function<VirtioDevice, DeviceFactory> transport)
            throws Exception {
        byte[] content = new byte[SIZE];
        new Random(1).nextBytes(content);
        Path file = directory.resolve("disk");
        Files.write(file, content);
        var disk =
                new VirtioBlock(
                        "virtio-blk0",
                        RawImage.open(file, ImageOptions.WRITABLE),
                        VirtioBlock.Options.DEFAULT.withSerial("KAVAL-1").withQueues(2));
        var output = new ByteArrayOutputStream();
        VmOutcome outcome;
        try (Vm vm =
                Vm.builder()
                        .cpus(2)
                        .memory(256L << 20)
                        .boot(
                                KernelBoot.of(DiskGuests.kernel())
                                        .initrd(DiskGuests.initrd())
                                        .commandLine(
                                                "console=ttyS0 quiet panic=-1 cryptomgr.notests"))
                        .serialOutput(output)
                        .device(transport.apply(disk))
                        .build()) {
            vm.start();
            outcome = vm.awaitExit(LIMIT);
        }
        String console = output.toString(StandardCharsets.ISO_8859_1);
        assertEquals(new VmOutcome.PoweredOff(), outcome, console);
        Map<String, List<String>> facts =
                console.lines()
                        .map(line -> line.split(": ", 2))
                        .filter(parts -> parts.length == 2)
                        .collect(
                                Collectors.groupingBy(
                                        parts -> parts[0],
                                        Collectors.mapping(
                                                parts -> parts[1].strip(), Collectors.toList())));
        check(facts, content, Files.readAllBytes(file), console);
        return facts;
    }

    private static void check(
            Map<String, List<String>> facts, byte[] before, byte[] after, String console)
            throws Exception {
        assertEquals(List.of(), facts.getOrDefault("complaint", List.of()), console);
        assertEquals(List.of(Integer.toString(SIZE / 512)), facts.get("sectors"), console);
        assertEquals(List.of("KAVAL-1"), facts.get("serial"));
        assertEquals(List.of("0"), facts.get("read-only"));
        assertEquals(List.of("2"), facts.get("queues"));
        assertEquals(List.of("4096"), facts.get("physical block"));
        assertEquals(List.of("write back"), facts.get("cache"));
        assertEquals(List.of(hash(before, MEBIBYTE)), facts.get("found"));
        assertEquals(facts.get("written"), facts.get("read"));
        assertEquals(List.of(hash(after, 0)), facts.get("written"));
        byte[] rest = Arrays.copyOfRange(after, MEBIBYTE, SIZE);
        assertTrue(Arrays.equals(Arrays.copyOfRange(before, MEBIBYTE, SIZE), rest));
    }

    /// Of one mebibyte, as sha256sum prints it.
    private static String hash(byte[] bytes, int from) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        digest.update(bytes, from, MEBIBYTE);
        return HexFormat.of().formatHex(digest.digest()) + "  -";
    }

    /// The interrupts of queues that have come, as `/proc/interrupts` names their kind.
    private static long interrupts(Map<String, List<String>> facts, String kind) {
        return facts.getOrDefault("interrupt", List.of()).stream()
                .filter(line -> line.contains(kind) && !line.contains("config"))
                .count();
    }

    @Test
    void overPciItWorksWithAMessageForEachQueue() throws Exception {
        Map<String, List<String>> facts = run(Virtio::pci);

        assertTrue(String.valueOf(facts.get("where")).contains("/pci0000:00/"), facts.toString());
        assertEquals(2, interrupts(facts, "MSI"), facts.toString());
    }

    @Test
    void overMmioItWorksAndAcpiSaysWhereItIs() throws Exception {
        Map<String, List<String>> facts = run(Virtio::mmio);

        assertTrue(String.valueOf(facts.get("where")).contains("/LNRO0005:"), facts.toString());
        assertEquals(1, interrupts(facts, "IO-APIC"), facts.toString());
    }
}
