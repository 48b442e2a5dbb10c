package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.block.BlockImage;
import org.kaval.devices.block.CheckResult;
import org.kaval.devices.block.ImageFormat;
import org.kaval.devices.block.ImageInfo;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.block.Images;
import org.kaval.devices.block.Progress;
import org.kaval.devices.block.Qcow2Check;
import org.kaval.devices.block.Qcow2Format;
import org.kaval.devices.block.RawImage;
import org.kaval.devices.virtio.VirtioBlock;
import org.kaval.linux.IoVector;
import org.kaval.machine.boot.KernelBoot;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// A Debian with systemd boots from a virtio disk to its login prompt, and uses disks of all
/// formats, over PCI and over MMIO: `fio` finds all that it has written, one grows while it is in
/// use, what is trimmed gives its space back, and `fsck` and the check of qcow2 images find
/// nothing.
@NeedsHardwareVirtualization
@Timeout(value = 10, unit = TimeUnit.MINUTES) // on a busy machine
@NeedsFiles(value = DebianGuests.FOLDER, madeBy = DebianGuests.class)
class DebianDiskTest {
    /// The nested host takes a minute.
    private static final Duration LIMIT = Duration.ofMinutes(8);

    private static final long SIZE = 64L << 20;
    private static final long GROWN = 96L << 20;

    private static final int MEBIBYTE = 1 << 20;

    /// Of what `fio` has written to each disk, half.
    private static final long GIVEN_BACK = MEBIBYTE / 2;

    private static final List<String> DISKS = List.of("raw", "qcow2", "backed");

    @TempDir private Path directory;

    private final Transcript console = new Transcript();
    private byte[] backing = {};

    private Path file(String disk) {
        return directory.resolve(disk.equals("raw") ? "raw.img" : disk + ".qcow2");
    }

    private static ImageFormat format(String disk) {
        return disk.equals("raw") ? ImageFormat.RAW : ImageFormat.QCOW2;
    }

    @BeforeEach
    void makeImages() throws IOException {
        backing = new byte[MEBIBYTE];
        new Random(1).nextBytes(backing);
        Path below = Files.write(directory.resolve("backing.img"), backing);
        RawImage.create(file("raw"), SIZE).close();
        Images.create(file("qcow2"), Qcow2Format.of(SIZE));
        Images.create(file("backed"), Qcow2Format.of(SIZE).over(below.toString(), ImageFormat.RAW));
    }

    private static VirtioBlock disk(String name, BlockImage image, int queues) {
        return new VirtioBlock(
                name, image, VirtioBlock.Options.DEFAULT.withSerial(name).withQueues(queues));
    }

    private VirtioBlock disk(String name, int queues) throws IOException {
        return disk(name, Images.open(file(name), format(name), ImageOptions.WRITABLE), queues);
    }

    private VirtioBlock root() throws IOException {
        BlockImage below = RawImage.open(DebianGuests.root(), ImageOptions.READ_ONLY);
        return disk("root", Images.overlay(below, directory), 1);
    }

    private List<Long> allocated() throws IOException {
        var bytes = new ArrayList<Long>();
        for (String disk : DISKS) {
            bytes.add(ImageInfo.of(file(disk), format(disk)).allocated());
        }
        return bytes;
    }

    private static void type(Vm vm, String line) throws InterruptedException {
        byte[] bytes = (line + "\r").getBytes(StandardCharsets.US_ASCII);
        assertTrue(vm.typeSerialAll(bytes, 0, bytes.length));
    }

    /// Boots it, has it use the disks, and ends it. It uses one processor until it uses the disks:
    /// a boot with more takes longer where all is emulated.
    private void run(String release, int cpus, VirtioBlock raw, List<DeviceFactory> devices)
            throws Exception {
        VmBuilder builder =
                Vm.builder()
                        .cpus(cpus)
                        .memory(512L << 20)
                        .boot(
                                KernelBoot.of(DebianGuests.kernel(release))
                                        .initrd(DebianGuests.initrd(release))
                                        .commandLine(
                                                "console=ttyS0 quiet panic=-1 cryptomgr.notests"
                                                        + " maxcpus=1 systemd.show_status=false"))
                        .serialOutput(console);
        devices.forEach(builder::device);
        try (Vm vm = builder.build()) {
            vm.start();
            console.await("login: ", LIMIT);
            type(vm, "root");
            console.await(":~# ", LIMIT);
            type(vm, "/run/busybox sh /run/disks");
            console.await("grow: now", LIMIT);
            raw.grow(GROWN);
            type(vm, "");
            console.await("full: now", LIMIT);
            List<Long> full = allocated();
            type(vm, "");
            console.await("trimmed: now", LIMIT);
            assertGivenBack(full, allocated());
            type(vm, "");
            assertEquals(new VmOutcome.PoweredOff(), vm.awaitExit(LIMIT), console.toString());
        }
        assertWell();
    }

    private static void assertGivenBack(List<Long> full, List<Long> trimmed) {
        for (int i = 0; i < DISKS.size(); i++) {
            assertTrue(
                    full.get(i) - trimmed.get(i) > GIVEN_BACK,
                    "%s: %d bytes, then %d".formatted(DISKS.get(i), full.get(i), trimmed.get(i)));
        }
    }

    private void assertWell() throws Exception {
        assertEquals(List.of(), console.facts("complaint"), console.toString());
        assertEquals("running", console.fact("system"));
        assertEquals("0", console.fact("fio"));
        assertEquals("6", console.fact("fio jobs"));
        assertEquals(Long.toString(GROWN), console.fact("grown"));
        assertArrayEquals(backing, Files.readAllBytes(directory.resolve("backing.img")));
        assertEquals(hash(new byte[MEBIBYTE]), console.fact("raw found"));
        assertEquals(hash(new byte[MEBIBYTE]), console.fact("qcow2 found"));
        assertEquals(hash(backing), console.fact("backed found"));
        for (String disk : DISKS) {
            assertEquals(Long.toString(SIZE / 512), console.fact(disk + " sectors"));
            assertEquals("0", console.fact(disk + " read-only"));
            assertEquals("4096", console.fact(disk + " physical block"));
            assertEquals("write back", console.fact(disk + " cache"));
            assertEquals(hash(firstMebibyte(disk)), console.fact(disk + " left"));
        }
        for (String disk : List.of("qcow2", "backed")) {
            CheckResult result =
                    Qcow2Check.check(file(disk), Qcow2Check.Repair.NOTHING, Progress.NONE);
            assertEquals(List.of(), result.problems(), disk);
        }
    }

    private byte[] firstMebibyte(String disk) throws IOException {
        try (BlockImage image = Images.open(file(disk), format(disk), ImageOptions.READ_ONLY);
                Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(MEBIBYTE);
            image.read(0, IoVector.of(bytes));
            return bytes.toArray(ValueLayout.JAVA_BYTE);
        }
    }

    /// As sha256sum prints it.
    private static String hash(byte[] bytes) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    }

    private void assertOnPci(String disk, int queues) {
        assertIs(disk, "/pci0000:00/", queues, queues);
    }

    /// In memory-mapped registers that ACPI describes: there is one interrupt for all queues.
    private void assertOnMmio(String disk, int queues) {
        assertIs(disk, "/LNRO0005:", queues, 1);
    }

    private void assertIs(String disk, String place, int queues, int interrupts) {
        assertTrue(console.fact(disk + " is").contains(place), console.fact(disk + " is"));
        assertEquals(Integer.toString(queues), console.fact(disk + " queues"));
        assertEquals(Integer.toString(interrupts), console.fact(disk + " interrupts"));
    }

    @Test
    void bookwormsKernelWithFourQueues() throws Exception {
        VirtioBlock raw = disk("raw", 4);
        run(
                "bookworm",
                4,
                raw,
                List.of(
                        Virtio.pci(root()),
                        Virtio.pci(raw),
                        Virtio.mmio(disk("qcow2", 4)),
                        Virtio.pci(disk("backed", 4))));

        assertTrue(console.fact("kernel").startsWith("6.1."), console.fact("kernel"));
        assertEquals("4", console.fact("processors"));
        assertOnPci("raw", 4);
        assertOnMmio("qcow2", 4);
        assertOnPci("backed", 4);
    }

    @Test
    void trixiesKernelWithOneQueue() throws Exception {
        VirtioBlock raw = disk("raw", 1);
        run(
                "trixie",
                1,
                raw,
                List.of(
                        Virtio.mmio(root()),
                        Virtio.mmio(raw),
                        Virtio.pci(disk("qcow2", 1)),
                        Virtio.mmio(disk("backed", 1))));

        assertTrue(console.fact("kernel").startsWith("6.12."), console.fact("kernel"));
        assertOnMmio("raw", 1);
        assertOnPci("qcow2", 1);
        assertOnMmio("backed", 1);
    }
}
