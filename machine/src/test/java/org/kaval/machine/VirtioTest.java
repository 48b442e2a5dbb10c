package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.block.RawImage;
import org.kaval.devices.virtio.VirtioBlock;
import org.kaval.machine.acpi.AcpiTables;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.trace.TraceKind;
import org.kaval.memory.GuestMemory;
import org.kaval.testing.NeedsKvm;

/// Virtio devices in machines, driven by a few instructions: the doorbell goes through KVM.
@NeedsKvm
class VirtioTest {
    private static final long MEMORY = 16 << 20;
    private static final int MMIO = 0xf000_0000;
    private static final int BAR = 0xc000_0000;
    private static final int ECAM_OF_DEVICE_1 = 0xe000_8000;
    private static final int DESCRIPTORS = 0x20_0000;
    private static final int AVAILABLE = 0x20_1000;
    private static final int USED = 0x20_2000;
    private static final int HEADER = 0x20_3000;
    private static final int STATUS = 0x20_4000;
    private static final int DATA = 0x20_5000;
    private static final int UNWRITTEN = 0xee;

    @TempDir private Path directory;

    /// Writes registers, and then waits for the status of a request, with which the machine ends.
    private static final class Driver {
        private final ByteArrayOutputStream code = new ByteArrayOutputStream();

        Driver write32(int address, int value) {
            return emit(0xc7, 0x05).le32(address).le32(value); // mov dword [address], value
        }

        Driver write16(int address, int value) {
            emit(0x66, 0xc7, 0x05).le32(address); // mov word [address], value
            return emit(value & 0xff, value >> 8);
        }

        Driver write8(int address, int value) {
            return emit(0xc6, 0x05).le32(address).emit(value); // mov byte [address], value
        }

        FlatPayload thenAwaitsTheStatus() {
            emit(0x80, 0x3d).le32(STATUS).emit(UNWRITTEN); // wait: cmp byte [STATUS], 0xee
            emit(0x74, 0xf7); // je wait
            emit(0x0f, 0xb6, 0x05).le32(STATUS); // movzx eax, byte [STATUS]
            emit(0xe7, 0xf4, 0xf4); // out 0xf4, eax; hlt
            return FlatPayload.of(code.toByteArray(), FlatPayload.Mode.PROTECTED32);
        }

        private Driver emit(int... bytes) {
            code.writeBytes(Guests.bytes(bytes));
            return this;
        }

        private Driver le32(int value) {
            return emit(value, value >> 8, value >> 16, value >> 24);
        }
    }

    private VirtioBlock disk(String name, byte[] content) throws IOException {
        Path file = directory.resolve(name);
        RawImage image = RawImage.create(file, content.length);
        Files.write(file, content);
        return new VirtioBlock(name, image, VirtioBlock.Options.DEFAULT);
    }

    /// A request for sector 1, which is available already.
    private static void prepare(GuestMemory memory) {
        memory.writeLe64(HEADER + 8, 1);
        descriptor(memory, 0, HEADER, 16, 1);
        descriptor(memory, 1, DATA, 512, 1 | 2);
        descriptor(memory, 2, STATUS, 1, 2);
        memory.writeByte(STATUS, UNWRITTEN);
        memory.writeLe16(AVAILABLE + 2, 1);
    }

    private static void descriptor(GuestMemory memory, int index, int at, int length, int flags) {
        long address = DESCRIPTORS + 16L * index;
        memory.writeLe64(address, at);
        memory.writeLe32(address + 8, length);
        memory.writeLe16(address + 12, flags);
        memory.writeLe16(address + 14, index + 1);
    }

    private void readsASector(FlatPayload guest, boolean pci) throws Exception {
        byte[] content = new byte[4096];
        new Random(1).nextBytes(content);
        VirtioBlock disk = disk("disk", content);
        var trace = new ByteArrayOutputStream();
        try (Vm vm =
                Vm.builder()
                        .memory(MEMORY)
                        .boot(guest)
                        .device(pci ? Virtio.pci(disk) : Virtio.mmio(disk))
                        .trace(EnumSet.of(TraceKind.VIRTIO), trace)
                        .build()) {
            prepare(vm.memory());
            vm.start();

            assertEquals(new VmOutcome.DebugExit(0), vm.awaitExit(Host.LIMIT));

            byte[] read = new byte[512];
            vm.memory().read(DATA, read);
            assertArrayEquals(Arrays.copyOfRange(content, 512, 1024), read);
            Host.until("it is used", () -> vm.memory().readLe16(USED + 2) == 1);
        }
        assertEquals(
                List.of(
                        "disk status 0x03, features 0x0",
                        "disk status 0x0b, features 0x100000000",
                        "disk queue 0 enabled: 8 descriptors at 0x200000, available at 0x201000,"
                                + " used at 0x202000",
                        "disk status 0x0f, features 0x100000000",
                        "disk queue 0 takes 0: 16 bytes to read, 513 to write",
                        "disk queue 0 gives back 0: 513 bytes written, interrupt"),
                trace.toString(StandardCharsets.UTF_8)
                        .lines()
                        .map(line -> line.replaceFirst(".* virtio ", ""))
                        .toList());
    }

    @Test
    void flightRecorderCountsRequests() throws Exception {
        try (var recording = new Recording()) {
            recording.start();
            readsASector(mmioDriver(), false);
            recording.stop();
            Path file = directory.resolve("recording.jfr");
            recording.dump(file);
            List<String> counts =
                    RecordingFile.readAllEvents(file).stream()
                            .filter(event -> event.getEventType().getName().equals("kaval.Queues"))
                            .map(event -> event.getString("queue") + ": " + event.getLong("count"))
                            .toList();
            assertEquals(List.of("disk queue 0: 1"), counts);
        }
    }

    private static FlatPayload mmioDriver() {
        return new Driver()
                .write32(MMIO + 0x70, 3)
                .write32(MMIO + 0x24, 1)
                .write32(MMIO + 0x20, 1) // VIRTIO_F_VERSION_1
                .write32(MMIO + 0x70, 11)
                .write32(MMIO + 0x38, 8)
                .write32(MMIO + 0x80, DESCRIPTORS)
                .write32(MMIO + 0x90, AVAILABLE)
                .write32(MMIO + 0xa0, USED)
                .write32(MMIO + 0x44, 1)
                .write32(MMIO + 0x70, 15)
                .write32(MMIO + 0x50, 0)
                .thenAwaitsTheStatus();
    }

    @Test
    void guestReadsASectorOverMmio() throws Exception {
        readsASector(mmioDriver(), false);
    }

    @Test
    void guestReadsASectorOverPci() throws Exception {
        readsASector(
                new Driver()
                        .write16(ECAM_OF_DEVICE_1 + 4, 6)
                        .write8(BAR + 0x14, 3)
                        .write32(BAR + 0x08, 1)
                        .write32(BAR + 0x0c, 1) // VIRTIO_F_VERSION_1
                        .write8(BAR + 0x14, 11)
                        .write16(BAR + 0x18, 8)
                        .write32(BAR + 0x20, DESCRIPTORS)
                        .write32(BAR + 0x28, AVAILABLE)
                        .write32(BAR + 0x30, USED)
                        .write16(BAR + 0x1c, 1)
                        .write8(BAR + 0x14, 15)
                        .write16(BAR + 0x3000, 0)
                        .thenAwaitsTheStatus(),
                true);
    }

    @Test
    void manyDisksFitAndLeaveNothing() throws Exception {
        Host.Resources before = Host.Resources.now();
        VmBuilder builder = Vm.builder().memory(MEMORY).boot(Guests.spins());
        for (int i = 0; i < 40; i++) {
            builder.device(Virtio.pci(disk("pci" + i, new byte[512])));
        }
        for (int i = 0; i < 10; i++) {
            builder.device(Virtio.mmio(disk("mmio" + i, new byte[512])));
        }
        try (Vm vm = builder.build()) {
            byte[] bytes = new byte[(int) AcpiTables.AREA.size()];
            vm.memory().read(AcpiTables.AREA.base(), bytes);
            String area = new String(bytes, StandardCharsets.ISO_8859_1);
            assertEquals(10, area.split("LNRO0005", -1).length - 1);
            assertTrue(area.contains("V009"));
            vm.start();
        }
        before.awaitAgain();
    }

    @Test
    void withoutRoomForItsRegistersItIsRefused() {
        VmBuilder builder =
                Vm.builder()
                        .memory(MEMORY)
                        .boot(Guests.spins())
                        .device(machine -> machine.freeMmio(1 << 27))
                        .device(machine -> machine.freeMmio(1 << 27));

        assertThrows(IllegalArgumentException.class, builder::build);
    }
}
