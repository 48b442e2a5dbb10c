package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.devices.Bus;
import org.kaval.devices.FakeDoorbells;
import org.kaval.devices.FakeMessages;
import org.kaval.devices.Host;
import org.kaval.devices.RateLimit;
import org.kaval.devices.SerialConsole;
import org.kaval.devices.block.RawImage;
import org.kaval.devices.pci.PciBus;
import org.kaval.devices.pci.PciEcam;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// Drivers that a fuzzer makes up: whatever they do is a {@link GuestFault} at most, ends, and a
/// reset makes all well again.
///
/// A build replays the seeds and what has been found. To look for more: `./kaval fuzz anyRings`
class VirtioFuzzTest {
    private static final int RAM = 1 << 16;
    private static final int SIZE = 8;
    private static final long RINGS = 0x1000;
    private static final long DATA = 0x8000;
    private static final int DISK_SECTORS = 64;
    private static final int RAM_OF_A_DEVICE = 0x20_8000;
    private static final GuestRange WINDOW = new GuestRange(0xc000_0000L, 0x100_0000);
    private static final int ACCESS = 12; // bytes of input for an access
    private static final long FEATURES =
            VirtioControl.F_VERSION_1 | VirtQueue.F_EVENT_IDX | VirtQueue.F_INDIRECT_DESC;

    @TempDir private static Path directory;
    private static GuestMemory memory;
    private static RawImage image;

    @BeforeAll
    static void make() throws IOException {
        memory = GuestDriver.memory(RAM);
        image = RawImage.create(directory.resolve("disk"), DISK_SECTORS * 512L);
    }

    @AfterAll
    static void free() throws IOException {
        image.close();
        memory.close();
    }

    private static VirtioHost host() {
        return new VirtioHost(memory, new FakeDoorbells(), VirtioFuzzTest::bug);
    }

    private static byte[] bytes(Number... fields) {
        ByteBuffer buffer = ByteBuffer.allocate(64).order(ByteOrder.LITTLE_ENDIAN);
        for (Number field : fields) {
            switch (field) {
                case Byte value -> buffer.put(value);
                case Short value -> buffer.putShort(value);
                case Integer value -> buffer.putInt(value);
                default -> buffer.putLong(field.longValue());
            }
        }
        return buffer.array();
    }

    static Stream<byte[]> rings() {
        short next = GuestDriver.NEXT;
        short write = GuestDriver.WRITE;
        short indirect = GuestDriver.INDIRECT;
        short zero = 0;
        return Stream.of(
                new byte[0],
                bytes(DATA, 16, next, (short) 1, DATA, 512, write, zero),
                bytes(RINGS + 16, 16, indirect, zero, DATA, 512, write, zero),
                bytes(DATA, 16, next, zero));
    }

    /// The rings of a queue, and what they point to: the descriptors first.
    @MethodSource("rings")
    @FuzzTest(maxDuration = "5m")
    void anyRings(byte[] content) {
        var driver = new GuestDriver(memory, RINGS, SIZE);
        driver.restart();
        var queue = new VirtQueue(memory, 0, SIZE, () -> {}, null);
        driver.enable(queue);
        queue.start(FEATURES);
        driver.setAvailableIndex(1);
        int length = Math.min(content.length, RAM - (int) RINGS);
        memory.write(RINGS, Arrays.copyOf(content, length));
        var chain = new DescriptorChain(memory);
        try {
            int taken = 0;
            while (queue.take(chain)) {
                assertTrue(++taken <= SIZE, "each is completed before the next");
                assertTrue(chain.readable().count() + chain.writable().count() <= SIZE + 1);
                queue.complete(chain, chain.writable().size());
                queue.awaitRequest();
            }
        } catch (GuestFault expected) {
            assertTrue(String.valueOf(expected.getMessage()).startsWith("queue 0: "));
        }
        queue.reset();
        driver.restart();
        driver.enable(queue);
        queue.start(FEATURES);
        driver.add(Buffer.toRead(DATA, 4));
        assertTrue(queue.take(chain));
    }

    static Stream<byte[]> requests() {
        return Stream.of(
                new byte[0],
                bytes(BlockRequests.T_IN, 0, 3L),
                bytes(BlockRequests.T_OUT, 0, 3L, 1L, 2L),
                bytes(BlockRequests.T_FLUSH, 0, 0L),
                bytes(BlockRequests.T_GET_ID, 0, 0L),
                bytes(BlockRequests.T_DISCARD, 0, 0L, 1L, 8, 0),
                bytes(BlockRequests.T_WRITE_ZEROES, 0, 0L, 1L, 8, 1, 2L, 8, 0));
    }

    /// A request to a disk: the device reads all of it, and may write as much.
    @MethodSource("requests")
    @FuzzTest(maxDuration = "5m")
    void anyBlockRequest(byte[] request) {
        int length = Math.min(request.length, 0x4000);
        memory.write(DATA, Arrays.copyOf(request, length));
        var disk = new VirtioBlock("disk", image, VirtioBlock.Options.DEFAULT);
        var unlimited =
                new RateLimit(RateLimit.Rate.UNLIMITED, RateLimit.Rate.UNLIMITED, System::nanoTime);
        var requests = new BlockRequests(disk, image, unlimited, "");
        for (int room : new int[] {0, 1, 21, 513, length}) {
            var chain = new DescriptorChain(memory);
            chain.begin(0);
            if (length > 0) {
                chain.readable().add(DATA, length);
            }
            if (room > 0) {
                chain.writable().add(DATA + 0x4000, room);
            }
            try {
                assertEquals(room, requests.handle(chain));
                int status = memory.readByte(DATA + 0x4000 + room - 1);
                assertTrue(status <= BlockRequests.S_UNSUPP, "status " + status);
            } catch (GuestFault expected) {
                assertTrue(length < 16 || room == 0, expected.getMessage());
            }
        }
        assertEquals(DISK_SECTORS * 512L, image.size());
    }

    static Stream<byte[]> rngRequests() {
        return Stream.of(
                new byte[0], bytes((short) 0, (short) 8), bytes((short) 8, (short) 8, (short) -1));
    }

    /// A request for random numbers: how many bytes each of its buffers has, the first to read.
    @MethodSource("rngRequests")
    @FuzzTest(maxDuration = "5m")
    void anyRngRequest(byte[] lengths) throws IOException {
        VirtioRng rng = VirtioRng.open("rng", RateLimit.Rate.UNLIMITED);
        var chain = new DescriptorChain(memory);
        chain.begin(0);
        ByteBuffer input = ByteBuffer.wrap(lengths).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; input.remaining() >= Short.BYTES && i <= VirtioRng.QUEUE_SIZE; i++) {
            int length = Math.min(input.getShort() & 0xffff, RAM - (int) DATA);
            if (length > 0) {
                (i == 0 ? chain.readable() : chain.writable()).add(DATA, length);
            }
        }
        try {
            long written = rng.new Requests().handle(chain);
            assertEquals(Math.min(chain.writable().size(), VirtioRng.MAX_BYTES), written);
        } catch (GuestFault expected) {
            assertTrue(chain.writable().size() == 0 || chain.readable().size() > 0);
        } finally {
            rng.close();
        }
    }

    static Stream<byte[]> balloonRequests() {
        return Stream.of(
                new byte[] {0},
                bytes((byte) 0, 8, 9, 7, -1),
                bytes((byte) 2, (short) 4, 77L, (short) 5, -1L, (short) -1, 0L),
                bytes((byte) 3, (short) 0xfff, 8));
    }

    /// A request to a balloon: which queue, and what is in the request, or, for free pages, where
    /// they are.
    @MethodSource("balloonRequests")
    @FuzzTest(maxDuration = "5m")
    void anyBalloonRequest(byte[] input) throws Exception {
        var balloon = new VirtioBalloon("balloon");
        try (var driver = new DeviceDriver(balloon, GuestDriver.memory(RAM_OF_A_DEVICE))) {
            driver.begin(FEATURES | VirtioBalloon.F_STATS_VQ | VirtioBalloon.F_REPORTING);
            int queue = input.length == 0 ? 0 : (input[0] & 0xff) % VirtioBalloon.QUEUES;
            byte[] content = Arrays.copyOfRange(input, Math.min(1, input.length), input.length);
            int length = Math.min(content.length, 0x4000);
            long data = DeviceDriver.DATA;
            driver.memory.write(data, Arrays.copyOf(content, length));
            boolean writable = queue >= VirtioBalloon.REPORTING;
            long address = writable && length >= 2 ? data + driver.memory.readLe16(data) : data;
            driver.submit(queue, new Buffer(address, length, writable));
            Host.until(
                    "it is dealt with",
                    () ->
                            driver.queues.get(queue).usedIndex() == 1
                                    || queue == VirtioBalloon.STATISTICS
                                    || (driver.control.status() & VirtioControl.NEEDS_RESET) != 0);
            driver.begin(FEATURES);
            driver.request(VirtioBalloon.REPORTING, new Buffer(DeviceDriver.DATA, 4096, true));
        }
    }

    static Stream<byte[]> consoleRequests() {
        return Stream.of(
                new byte[] {1, 'a', 'b'}, new byte[] {0, 4, 1, 0}, new byte[] {2, 80, 0, 24, 0});
    }

    /// What a driver does to a console: output, buffers for input, writes to the configuration.
    @MethodSource("consoleRequests")
    @FuzzTest(maxDuration = "5m")
    void anyConsoleRequest(byte[] script) throws Exception {
        try (var serial = new SerialConsole("serial", OutputStream.nullOutputStream());
                var driver =
                        new DeviceDriver(
                                new VirtioConsole("console", serial.virtioPort()),
                                GuestDriver.memory(RAM_OF_A_DEVICE))) {
            driver.begin(FEATURES);
            serial.type(new byte[64], 0, 64);
            for (int i = 0; i + 2 < Math.min(script.length, 90); i += 3) {
                int what = script[i] & 3;
                int length = script[i + 1] & 0xff;
                boolean writable = (script[i + 2] & 1) != 0;
                if (what < 2) {
                    driver.submit(what, new Buffer(DeviceDriver.DATA, length, writable));
                } else {
                    driver.control.writeConfig(length & 15, 1 << (what & 1), script[i + 2]);
                }
            }
            driver.begin(FEATURES);
            driver.request(1, Buffer.toRead(DeviceDriver.DATA, 3));
            driver.request(0, Buffer.toWrite(DeviceDriver.DATA, 64));
        }
    }

    static Stream<byte[]> portRequests() {
        return Stream.of(
                new byte[] {2, 0, 100, 11, 0, 8, 0, 0, 0},
                new byte[] {-1, 6, 8, 1, 0, 1, 0, 3, 16, 0, 11, 8, 16, 2, 1, 2},
                new byte[] {5, 0, 7, 15, 1, 2, 3, 1, 7});
    }

    /// What a driver does to named ports: which queue, and which piece of the script in which
    /// direction.
    @MethodSource("portRequests")
    @FuzzTest(maxDuration = "5m")
    void anyPortRequest(byte[] script) throws Exception {
        var ports =
                List.of(
                        new VirtioPorts.Port("a", directory.resolve("a")),
                        new VirtioPorts.Port("b", directory.resolve("b")));
        try (var driver =
                new DeviceDriver(
                        VirtioPorts.open("ports", ports), GuestDriver.memory(RAM_OF_A_DEVICE))) {
            driver.begin(FEATURES | VirtioPorts.F_MULTIPORT);
            driver.memory.write(DeviceDriver.DATA, Arrays.copyOf(script, 0x180));
            for (int i = 0; i + 2 < Math.min(script.length, 90); i += 3) {
                long address = DeviceDriver.DATA + (script[i + 1] & 0xff);
                driver.submit(
                        script[i] & 7,
                        new Buffer(address, script[i + 2] & 0x7f, (script[i] & 8) == 0));
            }
            driver.begin(FEATURES | VirtioPorts.F_MULTIPORT);
            driver.request(1, Buffer.toRead(DeviceDriver.DATA, 3));
            driver.request(7, Buffer.toRead(DeviceDriver.DATA, 64));
        }
    }

    /// What a driver does to registers.
    private interface Access {
        void at(long offset, int size, long value, boolean write);
    }

    private static void play(byte[] script, Access access) {
        ByteBuffer input = ByteBuffer.wrap(script).order(ByteOrder.LITTLE_ENDIAN);
        while (input.remaining() >= ACCESS) {
            int kind = input.get();
            int offset = (input.get() & 0xff) << 16 | (input.getShort() & 0xffff);
            long value = input.getLong();
            access.at(offset, 1 << (kind & 3), value, (kind & 4) != 0);
        }
    }

    private static void reset(VirtioControl control, EchoDevice device) throws Exception {
        control.setStatus(0);
        var driver = new GuestDriver(memory, RINGS, EchoDevice.SIZE);
        driver.restart();
        control.setDriverFeatures(1, 1);
        control.setStatus(VirtioControl.FEATURES_OK);
        driver.enable(control.queue(0));
        control.setStatus(VirtioControl.FEATURES_OK | VirtioControl.DRIVER_OK);
        int before = device.begun.get();
        driver.add(Buffer.toRead(DATA, 4), Buffer.toWrite(DATA + 8, 4));
        control.ring(0);
        Host.until("the request is used", () -> driver.usedIndex() == 1);
        assertEquals(before + 1, device.begun.get());
    }

    private static byte[] access(int kind, int offset, long value) {
        return Arrays.copyOf(
                bytes((byte) kind, (byte) (offset >> 16), (short) offset, value), ACCESS);
    }

    private static byte[] join(byte[]... parts) {
        ByteBuffer all = ByteBuffer.allocate(parts.length * ACCESS);
        for (byte[] part : parts) {
            all.put(part);
        }
        return all.array();
    }

    static Stream<byte[]> mmioScripts() {
        return Stream.of(
                new byte[0],
                join(
                        access(6, 0x24, 1),
                        access(6, 0x20, 1),
                        access(6, 0x70, 8),
                        access(6, 0x80, RINGS),
                        access(6, 0x90, RINGS + 0x100),
                        access(6, 0xa0, RINGS + 0x200),
                        access(6, 0x44, 1),
                        access(6, 0x70, 12),
                        access(6, 0x50, 0),
                        access(6, 0x70, 0)));
    }

    @MethodSource("mmioScripts")
    @FuzzTest(maxDuration = "5m")
    void anyMmioAccess(byte[] script) throws Exception {
        var device = new EchoDevice();
        try (VirtioMmio mmio = VirtioMmio.create(device, host(), 0, () -> {})) {
            play(
                    script,
                    (at, size, value, write) -> {
                        long offset = at % (VirtioMmio.SIZE - 7);
                        if (write) {
                            mmio.write(offset, size, value);
                        } else {
                            mmio.read(offset, size);
                        }
                    });
            reset(mmio.control(), device);
        }
    }

    private static void bug(Throwable bug) {
        throw new AssertionError(bug);
    }

    static Stream<byte[]> pciScripts() {
        int bar = 0x80_0000; // what is above is BAR 0
        return Stream.of(
                new byte[0],
                join(access(5, 4, 6), access(6, 0x10, WINDOW.base() + 0x10_0000)),
                join(
                        access(5, 4, 6),
                        access(6, bar | 8, 1),
                        access(6, bar | 0xc, 1),
                        access(4, bar | 0x14, 8),
                        access(6, bar | 0x20, RINGS),
                        access(6, bar | 0x28, RINGS + 0x100),
                        access(6, bar | 0x30, RINGS + 0x200),
                        access(5, bar | 0x1c, 1),
                        access(4, bar | 0x14, 12),
                        access(5, bar | 0x3000, 0),
                        access(6, bar | 0x4000, 0xfee0_0000L),
                        access(5, 0x86, 0x8000)));
    }

    /// Configuration space, and BAR 0 where it is at first.
    @MethodSource("pciScripts")
    @FuzzTest(maxDuration = "5m")
    void anyPciAccess(byte[] script) throws Exception {
        var device = new EchoDevice();
        var mmio = new Bus("mmio");
        var pci = new PciBus(new Bus("port"), List.of(), mmio, List.of(WINDOW), _ -> _ -> {});
        var ecam = new PciEcam(pci);
        try (VirtioPci function = VirtioPci.create(device, host(), new FakeMessages())) {
            pci.add(function.function());
            play(
                    script,
                    (at, size, value, write) -> {
                        boolean isBar = (at & 0x80_0000) != 0;
                        long offset = isBar ? WINDOW.base() + (at & 0xffff) : at & 0x7fff;
                        if (write && isBar) {
                            mmio.write(offset, size, value);
                        } else if (write) {
                            ecam.write(offset, size, value);
                        } else if (isBar) {
                            mmio.read(offset, size);
                        } else {
                            ecam.read(offset, size);
                        }
                    });
            reset(function.control(), device);
            assertEquals(0x1af4, ecam.read(0, 2));
        }
    }
}
