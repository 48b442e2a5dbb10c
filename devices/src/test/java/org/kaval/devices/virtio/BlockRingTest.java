package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.kaval.devices.virtio.BlockDriver.ALL;
import static org.kaval.devices.virtio.BlockDriver.DATA;
import static org.kaval.devices.virtio.BlockDriver.HEADER;
import static org.kaval.devices.virtio.BlockDriver.STATUS;
import static org.kaval.devices.virtio.BlockRequests.S_IOERR;
import static org.kaval.devices.virtio.BlockRequests.S_OK;
import static org.kaval.devices.virtio.BlockRequests.T_DISCARD;
import static org.kaval.devices.virtio.BlockRequests.T_FLUSH;
import static org.kaval.devices.virtio.BlockRequests.T_IN;
import static org.kaval.devices.virtio.BlockRequests.T_OUT;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kaval.devices.Host;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.block.ImageOptions.Cache;
import org.kaval.devices.block.RawImage;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.linux.IoUring;

/// Disks whose requests are in a ring of the kernel's.
class BlockRingTest {
    private static final int SECTOR = 512;
    private static final int SECTORS = 4096;
    private static final int BLOCK = 4096;
    private static final int REQUESTS = 10_000;
    private static final long READ_ONLY = VirtioControl.F_VERSION_1 | VirtQueue.F_EVENT_IDX;
    private static final int AT_ONCE = 100; // more than are in flight at most

    @TempDir private Path directory;

    @BeforeEach
    void needsRings() {
        assumeTrue(IoUring.isAvailable(), "this kernel has no io_uring, or forbids it");
    }

    private Path file() {
        return directory.resolve("disk");
    }

    private BlockDriver open(byte[] content, ImageOptions options) throws IOException {
        Files.write(file(), content);
        var disk =
                new VirtioBlock(
                        "ring",
                        RawImage.open(file(), options),
                        VirtioBlock.Options.DEFAULT.withEngine(VirtioBlock.Engine.IO_URING));
        var driver = new BlockDriver(disk);
        driver.begin(options.readOnly() ? READ_ONLY : ALL);
        return driver;
    }

    private static byte[] random(int size) {
        byte[] bytes = new byte[size];
        new Random(1).nextBytes(bytes);
        return bytes;
    }

    private static Set<String> threads() {
        return Thread.getAllStackTraces().keySet().stream()
                .map(Thread::getName)
                .filter(name -> name.startsWith("ring-q"))
                .collect(Collectors.toSet());
    }

    private static byte[] guest(BlockDriver driver, long address, int size) {
        byte[] bytes = new byte[size];
        driver.memory.read(address, bytes);
        return bytes;
    }

    /// One of many requests at once: its header, its data and its status are at `index`.
    private static void add(BlockDriver driver, int index, int type, long sector) {
        long header = HEADER + 16L * index;
        driver.memory.writeLe32(header, type);
        driver.memory.writeLe64(header + 8, sector);
        driver.memory.writeByte(STATUS + index, 0xee);
        var data = new Buffer(DATA + (long) BLOCK * index, BLOCK, type == T_IN);
        driver.queues
                .getFirst()
                .add(Buffer.toRead(header, 16), data, Buffer.toWrite(STATUS + index, 1));
    }

    @ParameterizedTest
    @EnumSource(Cache.class)
    void whatIsWrittenIsReadAgain(Cache cache) throws Exception {
        byte[] content = random(SECTORS * SECTOR);
        try (BlockDriver driver = open(content, ImageOptions.WRITABLE.withCache(cache))) {
            assertEquals(Set.of("ring-q0"), threads());
            var random = new Random(2);
            for (int i = 0; i < 200; i++) {
                int sector = random.nextInt(SECTORS - 16);
                int sectors = 1 + random.nextInt(16);
                int size = sectors * SECTOR;
                // odd addresses are not for O_DIRECT
                long at = DATA + random.nextInt(2) * 3L;
                int first = random.nextInt(size + 1);
                if (random.nextBoolean()) {
                    byte[] bytes = new byte[size];
                    random.nextBytes(bytes);
                    driver.memory.write(at, bytes);
                    System.arraycopy(bytes, 0, content, sector * SECTOR, size);
                    assertEquals(
                            S_OK,
                            driver.request(
                                    0,
                                    T_OUT,
                                    sector,
                                    Buffer.toRead(at, first),
                                    Buffer.toRead(at + first, size - first)));
                } else {
                    driver.memory.write(at, new byte[size]);
                    assertEquals(S_OK, driver.request(0, T_IN, sector, Buffer.toWrite(at, size)));
                    assertArrayEquals(
                            Arrays.copyOfRange(content, sector * SECTOR, sector * SECTOR + size),
                            guest(driver, at, size));
                }
            }
            assertEquals(S_OK, driver.request(0, T_FLUSH, 0));
            assertArrayEquals(content, Files.readAllBytes(file()));
        }
        assertEquals(Set.of(), threads());
    }

    @ParameterizedTest
    @EnumSource(Cache.class)
    void manyAreInFlightAtOnce(Cache cache) throws Exception {
        byte[] content = random(SECTORS * SECTOR);
        try (BlockDriver driver = open(content, ImageOptions.WRITABLE.withCache(cache))) {
            int used = 0;
            for (int type : new int[] {T_IN, T_OUT, T_IN}) {
                if (type == T_OUT) {
                    for (int i = 0; i < AT_ONCE; i++) {
                        byte[] bytes = new byte[BLOCK];
                        Arrays.fill(bytes, (byte) i);
                        driver.memory.write(DATA + (long) BLOCK * i, bytes);
                        System.arraycopy(bytes, 0, content, i * BLOCK, BLOCK);
                    }
                }
                // 256 descriptors are 85 requests
                for (int from = 0; from < AT_ONCE; from += AT_ONCE / 2) {
                    for (int i = from; i < from + AT_ONCE / 2; i++) {
                        add(driver, i, type, (long) i * BLOCK / SECTOR);
                    }
                    driver.control.ring(0);
                    used += AT_ONCE / 2;
                    driver.awaitUsed(0, used);
                }
                for (int i = 0; i < AT_ONCE; i++) {
                    assertEquals(S_OK, driver.memory.readByte(STATUS + i));
                    assertArrayEquals(
                            Arrays.copyOfRange(content, i * BLOCK, (i + 1) * BLOCK),
                            guest(driver, DATA + (long) BLOCK * i, BLOCK));
                }
            }
        }
    }

    @Test
    void endOfAFileThatIsNoWholeSectorIsZero() throws Exception {
        byte[] content = random(3 * SECTOR - 100);
        try (BlockDriver driver = open(content, ImageOptions.WRITABLE.withCache(Cache.UNSAFE))) {
            driver.memory.write(DATA, random(2 * SECTOR));
            assertEquals(S_OK, driver.request(0, T_IN, 1, Buffer.toWrite(DATA, 2 * SECTOR)));
            byte[] expected = Arrays.copyOfRange(content, SECTOR, 3 * SECTOR);
            assertArrayEquals(expected, guest(driver, DATA, 2 * SECTOR));
        }
    }

    @Test
    void whatIsNoRequestOfARingIsServed() throws Exception {
        try (BlockDriver driver = open(random(SECTORS * SECTOR), ImageOptions.WRITABLE)) {
            driver.memory.writeLe64(DATA, 8);
            driver.memory.writeLe32(DATA + 8, 8);
            driver.memory.writeLe32(DATA + 12, 0);
            assertEquals(S_OK, driver.request(0, T_DISCARD, 0, Buffer.toRead(DATA, 16)));
            assertEquals(S_OK, driver.request(0, T_IN, 8, Buffer.toWrite(DATA, BLOCK)));
            assertArrayEquals(new byte[BLOCK], guest(driver, DATA, BLOCK));
            assertEquals(S_IOERR, driver.request(0, T_IN, SECTORS, Buffer.toWrite(DATA, SECTOR)));
            assertEquals(S_IOERR, driver.request(0, T_OUT, SECTORS, Buffer.toRead(DATA, SECTOR)));
        }
    }

    @Test
    void readOnlyDiskTakesNoWrites() throws Exception {
        byte[] content = random(SECTORS * SECTOR);
        try (BlockDriver driver = open(content, ImageOptions.READ_ONLY)) {
            assertEquals(S_IOERR, driver.request(0, T_OUT, 0, Buffer.toRead(DATA, SECTOR)));
            assertEquals(S_OK, driver.request(0, T_FLUSH, 0));
            assertArrayEquals(content, Files.readAllBytes(file()));
        }
    }

    /// Requests of which nobody hears any more: the memory must not be written to afterwards.
    @Test
    void resetWaitsForWhatIsInFlight() throws Exception {
        byte[] content = random(SECTORS * SECTOR);
        try (BlockDriver driver = open(content, ImageOptions.READ_ONLY.withCache(Cache.NONE))) {
            for (int round = 0; round < 200; round++) {
                for (int i = 0; i < 64; i++) {
                    add(driver, i, T_IN, (long) i * BLOCK / SECTOR);
                }
                driver.control.ring(0);
                driver.control.setStatus(0);
                byte[] zeroes = new byte[64 * BLOCK];
                driver.memory.write(DATA, zeroes);
                driver.begin(READ_ONLY);
                assertArrayEquals(zeroes, guest(driver, DATA, zeroes.length));
                assertEquals(S_OK, driver.request(0, T_IN, 0, Buffer.toWrite(DATA, SECTOR)));
            }
        }
    }

    @Test
    void brokenRulesAreToldAndAResetHelps() throws Exception {
        try (BlockDriver driver = open(random(SECTORS * SECTOR), ImageOptions.WRITABLE)) {
            driver.queues.getFirst().add(Buffer.toRead(HEADER, 8));
            driver.control.ring(0);
            driver.until("it asks for a reset", driver::needsReset);
            driver.begin(ALL);
            assertFalse(driver.needsReset());
            assertEquals(S_OK, driver.request(0, T_IN, 0, Buffer.toWrite(DATA, SECTOR)));
        }
    }

    @Test
    void requestAllocatesNothing() throws Exception {
        byte[] content = random(SECTORS * SECTOR);
        try (BlockDriver driver = open(content, ImageOptions.WRITABLE.withCache(Cache.NONE))) {
            Thread thread =
                    Thread.getAllStackTraces().keySet().stream()
                            .filter(each -> each.getName().equals("ring-q0"))
                            .findFirst()
                            .orElseThrow();
            long least = Long.MAX_VALUE;
            for (int i = 0; i < 4 && least >= REQUESTS; i++) {
                long before = Host.allocatedBy(thread);
                for (int j = 0; j < REQUESTS; j++) {
                    driver.request(0, T_IN, j % 64, Buffer.toWrite(DATA, BLOCK));
                }
                least = Math.min(least, Host.allocatedBy(thread) - before);
            }
            assertTrue(least < REQUESTS, least + " bytes"); // less than a byte for each
        }
    }
}
