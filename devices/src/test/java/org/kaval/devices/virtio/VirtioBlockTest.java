package org.kaval.devices.virtio;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.devices.virtio.BlockDriver.ALL;
import static org.kaval.devices.virtio.BlockDriver.DATA;
import static org.kaval.devices.virtio.BlockDriver.HEADER;
import static org.kaval.devices.virtio.BlockDriver.STATUS;
import static org.kaval.devices.virtio.BlockRequests.S_IOERR;
import static org.kaval.devices.virtio.BlockRequests.S_OK;
import static org.kaval.devices.virtio.BlockRequests.S_UNSUPP;
import static org.kaval.devices.virtio.BlockRequests.T_DISCARD;
import static org.kaval.devices.virtio.BlockRequests.T_FLUSH;
import static org.kaval.devices.virtio.BlockRequests.T_GET_ID;
import static org.kaval.devices.virtio.BlockRequests.T_IN;
import static org.kaval.devices.virtio.BlockRequests.T_OUT;
import static org.kaval.devices.virtio.BlockRequests.T_WRITE_ZEROES;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.Host;
import org.kaval.devices.RateLimit;
import org.kaval.devices.block.RawImage;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.GuestDriver.Used;
import org.kaval.devices.virtio.VirtioBlock.Options;
import org.kaval.linux.EventFd;

class VirtioBlockTest {
    private static final int SECTORS = 2048;
    private static final long SIZE = SECTORS * 512L;

    @TempDir private Path directory;
    private HookedImage image;
    private BlockDriver driver;

    /// A disk of a megabyte.
    @BeforeEach
    void make() throws IOException {
        image = image(false);
        driver = new BlockDriver(new VirtioBlock("disk", image, Options.DEFAULT));
    }

    private HookedImage image(boolean readOnly) throws IOException {
        return new HookedImage(RawImage.create(file(), SIZE), readOnly);
    }

    /// Another one instead.
    private void open(Options options, boolean readOnly) throws IOException {
        driver.close();
        Files.delete(file());
        image = image(readOnly);
        driver = new BlockDriver(new VirtioBlock("disk", image, options));
    }

    private void open() {
        driver.begin(ALL);
    }

    private Path file() {
        return directory.resolve("disk");
    }

    @AfterEach
    void close() {
        image.permits.release(Integer.MAX_VALUE / 4);
        driver.close();
        assertTrue(image.closed);
    }

    private byte[] random(int size) {
        byte[] bytes = new byte[size];
        new Random(size).nextBytes(bytes);
        return bytes;
    }

    private byte[] guest(long address, int size) {
        byte[] bytes = new byte[size];
        driver.memory.read(address, bytes);
        return bytes;
    }

    private void segment(int index, long sector, long sectors, int flags) {
        long at = DATA + 16L * index;
        driver.memory.writeLe64(at, sector);
        driver.memory.writeLe32(at + 8, (int) sectors);
        driver.memory.writeLe32(at + 12, flags);
    }

    @Test
    void whatIsWrittenIsReadAgainAndIsInTheFile() throws Exception {
        open();
        byte[] bytes = random(3 * 512);
        driver.memory.write(DATA, Arrays.copyOf(bytes, 700));
        driver.memory.write(DATA + 0x1000, Arrays.copyOfRange(bytes, 700, bytes.length));

        assertEquals(
                S_OK,
                driver.request(
                        0,
                        T_OUT,
                        5,
                        Buffer.toRead(DATA, 700),
                        Buffer.toRead(DATA + 0x1000, bytes.length - 700)));
        assertEquals(S_OK, driver.request(0, T_FLUSH, 0));
        assertEquals(S_OK, driver.request(0, T_IN, 5, Buffer.toWrite(DATA + 0x8000, 3 * 512)));

        assertArrayEquals(bytes, guest(DATA + 0x8000, bytes.length));
        byte[] all = Files.readAllBytes(file());
        assertArrayEquals(bytes, Arrays.copyOfRange(all, 5 * 512, 8 * 512));
        assertEquals(1, image.flushes.get());
    }

    @Test
    void usedLengthIsAllThatIsWritten() throws Exception {
        open();
        driver.submit(0, T_IN, 0, Buffer.toWrite(DATA, 512));
        driver.awaitUsed(0, 1);

        assertEquals(List.of(new Used(0, 513)), driver.queues.getFirst().collect());
    }

    @Test
    void requestMayBeCutUpAnyhow() throws Exception {
        open();
        driver.header(T_IN, 3);
        Files.write(file(), random((int) SIZE));
        GuestDriver queue = driver.queues.getFirst();
        queue.addIndirect(
                DATA + 0x4000,
                Buffer.toRead(HEADER, 3),
                Buffer.toRead(HEADER + 3, 10),
                Buffer.toRead(HEADER + 13, 3),
                Buffer.toWrite(DATA, 1),
                Buffer.toWrite(DATA + 1, 512)); // the last byte is the status
        driver.memory.writeByte(DATA + 512, 0xee);
        driver.control.ring(0);
        driver.awaitUsed(0, 1);

        assertEquals(S_OK, driver.memory.readByte(DATA + 512));
        assertArrayEquals(
                Arrays.copyOfRange(random((int) SIZE), 3 * 512, 4 * 512), guest(DATA, 512));
    }

    @Test
    void serialNumberCanBeAskedFor() throws Exception {
        open(Options.DEFAULT.withSerial("KAVAL-42"), false);
        driver.begin(ALL);

        assertEquals(S_OK, driver.request(0, T_GET_ID, 0, Buffer.toWrite(DATA, 20)));

        assertEquals("KAVAL-42" + "\0".repeat(12), new String(guest(DATA, 20), US_ASCII));
        assertEquals(S_OK, driver.request(0, T_GET_ID, 0, Buffer.toWrite(DATA + 64, 4)));
        assertEquals("KAVA\0", new String(guest(DATA + 64, 5), US_ASCII));
        assertEquals(S_OK, driver.request(0, T_GET_ID, 0));
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 5, 10, 14, 255, -1})
    void requestOfAnotherKindIsNotSupported(int type) throws Exception {
        open();
        assertEquals(S_UNSUPP, driver.request(0, type, 0, Buffer.toWrite(DATA, 512)));
        assertFalse(driver.needsReset());
    }

    @ParameterizedTest
    @CsvSource({
        "2048, 512",
        "2047, 1024",
        "2049, 0",
        "-1, 512",
        "0x7fffffffffffffff, 512",
        "0x8000000000000000, 512",
        "0x0080000000000000, 512", // times 512 is 2^64
        "0, 511",
        "0, 1",
        "0, 1049088"
    })
    void whatIsNotOnTheDiskFails(String sector, long length) throws Exception {
        open();
        long number =
                new BigInteger(sector.replace("0x", ""), sector.startsWith("0x") ? 16 : 10)
                        .longValue();
        assertEquals(S_IOERR, driver.request(0, T_IN, number, Buffer.toWrite(DATA, length)));
        assertEquals(S_IOERR, driver.request(0, T_OUT, number, Buffer.toRead(DATA, length)));
        assertEquals(0, image.begun.get());
        assertFalse(driver.needsReset());
    }

    @Test
    void requestsOfNothingAreDone() throws Exception {
        open();
        assertEquals(S_OK, driver.request(0, T_IN, SECTORS));
        assertEquals(S_OK, driver.request(0, T_OUT, 0));
    }

    @Test
    void allOfTheDiskAtOnceIsDone() throws Exception {
        open();
        assertEquals(S_OK, driver.request(0, T_IN, 0, Buffer.toWrite(DATA, SIZE)));
        var many = new Buffer[254]; // what seg_max says
        Arrays.fill(many, Buffer.toWrite(DATA, 512));
        assertEquals(S_OK, driver.request(0, T_IN, 0, many));
    }

    @Test
    void withoutRoomForAStatusItNeedsAReset() throws Exception {
        open();
        driver.header(T_IN, 0);
        driver.queues.getFirst().add(Buffer.toRead(HEADER, 16));
        driver.control.ring(0);

        driver.until("it needs a reset", driver::needsReset);
        driver.until("the driver is told", () -> driver.configChanges.get() == 1);
        driver.begin(ALL);
        assertEquals(S_OK, driver.request(0, T_FLUSH, 0));
    }

    @Test
    void withoutAHeaderItNeedsAReset() throws Exception {
        open();
        driver.queues.getFirst().add(Buffer.toRead(HEADER, 15), Buffer.toWrite(STATUS, 1));
        driver.control.ring(0);

        driver.until("it needs a reset", driver::needsReset);
    }

    @Test
    void diskForReadingRefusesWhatChangesIt() throws Exception {
        open(Options.DEFAULT, true);
        driver.begin(VirtioControl.F_VERSION_1 | VirtioBlock.F_RO);
        segment(0, 0, 8, 0);

        assertEquals(0, driver.disk.features() & (VirtioBlock.F_DISCARD | VirtioBlock.F_FLUSH));
        assertEquals(S_IOERR, driver.request(0, T_OUT, 0, Buffer.toRead(DATA, 512)));
        assertEquals(S_IOERR, driver.request(0, T_DISCARD, 0, Buffer.toRead(DATA, 16)));
        assertEquals(S_IOERR, driver.request(0, T_WRITE_ZEROES, 0, Buffer.toRead(DATA, 16)));
        assertEquals(S_OK, driver.request(0, T_IN, 0, Buffer.toWrite(DATA, 512)));
    }

    @Test
    void zeroesAreWritten() throws Exception {
        open();
        Files.write(file(), random((int) SIZE));
        segment(0, 1, 2, 0);
        segment(1, 5, 1, 1);

        assertEquals(S_OK, driver.request(0, T_WRITE_ZEROES, 0, Buffer.toRead(DATA, 32)));

        byte[] expected = random((int) SIZE);
        Arrays.fill(expected, 512, 3 * 512, (byte) 0);
        Arrays.fill(expected, 5 * 512, 6 * 512, (byte) 0);
        assertArrayEquals(expected, Files.readAllBytes(file()));
    }

    @Test
    void discardGivesSpaceBack() throws Exception {
        open();
        driver.memory.write(DATA, random((int) SIZE));
        assertEquals(S_OK, driver.request(0, T_OUT, 0, Buffer.toRead(DATA, SIZE)));
        segment(0, 0, SECTORS, 0);

        assertEquals(S_OK, driver.request(0, T_DISCARD, 0, Buffer.toRead(DATA, 16)));

        assertEquals(2, image.begun.get());
        assertEquals(S_OK, driver.request(0, T_IN, 0, Buffer.toWrite(DATA, 512)));
    }

    @ParameterizedTest
    @CsvSource({
        "0, 1, 2, 2", // flags that nobody knows
        "0, 1, -1, 2",
        "2048, 1, 0, 1",
        "-1, 1, 0, 1",
        "0, 2049, 0, 1",
        "0, -1, 0, 1",
        "0x80000000000000, 1, 0, 1"
    })
    void segmentThatCannotBeFails(String sector, long sectors, int flags, int status)
            throws Exception {
        open();
        segment(0, Long.decode(sector), sectors, flags);

        assertEquals(status, driver.request(0, T_WRITE_ZEROES, 0, Buffer.toRead(DATA, 16)));
        assertEquals(status, driver.request(0, T_DISCARD, 0, Buffer.toRead(DATA, 16)));
        assertEquals(0, image.begun.get());
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 15, 17, 33 * 16})
    void segmentsOfAWrongSizeFail(long length) throws Exception {
        open();
        assertEquals(S_IOERR, driver.request(0, T_DISCARD, 0, Buffer.toRead(DATA, length)));
    }

    @Test
    void discardThatSaysUnmapIsNotSupported() throws Exception {
        open();
        segment(0, 0, 1, 1);
        assertEquals(S_UNSUPP, driver.request(0, T_DISCARD, 0, Buffer.toRead(DATA, 16)));
    }

    @Test
    void errorOfTheHostIsOneOfTheRequest() throws Exception {
        open();
        image.failing = true;
        assertEquals(S_IOERR, driver.request(0, T_IN, 0, Buffer.toWrite(DATA, 512)));
        assertEquals(S_IOERR, driver.request(0, T_FLUSH, 0));
        image.failing = false;
        assertEquals(S_OK, driver.request(0, T_IN, 0, Buffer.toWrite(DATA, 512)));
    }

    @Test
    void withoutFlushesEachWriteIsOne() throws Exception {
        open();
        driver.begin(VirtioControl.F_VERSION_1);
        assertEquals(S_OK, driver.request(0, T_OUT, 0, Buffer.toRead(DATA, 512)));
        assertEquals(1, image.flushes.get());
        assertEquals(0, driver.control.readConfig(32, 1));
    }

    @Test
    void cacheCanBeSwitchedOff() throws Exception {
        open();
        assertEquals(1, driver.control.readConfig(32, 1));
        driver.control.writeConfig(32, 1, 0);
        assertEquals(0, driver.control.readConfig(32, 1));
        assertEquals(S_OK, driver.request(0, T_OUT, 0, Buffer.toRead(DATA, 512)));
        assertEquals(1, image.flushes.get());

        driver.begin(ALL & ~VirtioBlock.F_CONFIG_WCE);
        driver.control.writeConfig(32, 1, 0);
        driver.control.writeConfig(0, 8, 0);
        assertEquals(S_OK, driver.request(0, T_OUT, 0, Buffer.toRead(DATA, 512)));
        assertEquals(1, image.flushes.get());
        assertEquals(SECTORS, driver.control.readConfig(0, 8));
    }

    @Test
    void configurationSaysWhatTheDiskIs() throws Exception {
        open(Options.DEFAULT.withQueues(4), false);
        assertEquals(SECTORS, driver.control.readConfig(0, 8));
        assertEquals(254, driver.control.readConfig(12, 4));
        assertEquals(512, driver.control.readConfig(20, 4));
        assertEquals(3, driver.control.readConfig(24, 1));
        assertEquals(4, driver.control.readConfig(34, 2));
        assertEquals(VirtioBlock.F_MQ, driver.disk.features() & VirtioBlock.F_MQ);
    }

    @Test
    void queuesWorkSideBySide() throws Exception {
        open(Options.DEFAULT.withQueues(4), false);
        driver.begin(ALL | VirtioBlock.F_MQ);
        image.permits.drainPermits();
        for (int i = 0; i < 4; i++) {
            driver.submit(i, T_IN, i, Buffer.toWrite(DATA, 512));
        }
        driver.until("all are under way", () -> image.begun.get() == 4);
        image.permits.release(4);
        for (int i = 0; i < 4; i++) {
            driver.awaitUsed(i, 1);
        }
    }

    @Test
    void manyRequestsAreUnderWayAtOnce() throws Exception {
        open();
        image.permits.drainPermits();
        for (int i = 0; i < 40; i++) {
            driver.submit(0, T_IN, i, Buffer.toWrite(DATA + 512L * i, 512));
        }
        driver.until("16 are under way", () -> image.begun.get() == 16);
        image.permits.release(40);
        driver.awaitUsed(0, 40);
    }

    @Test
    void whatIsInMemoryWaitsForNobody() throws Exception {
        open();
        byte[] content = random(512);
        Files.write(file(), content, StandardOpenOption.WRITE);
        image.permits.drainPermits();
        driver.submit(0, T_OUT, 100, Buffer.toRead(DATA, 512)); // waits for ever
        driver.until("the write is under way", () -> image.begun.get() == 1);
        image.cached = true;
        for (int i = 0; i < 40; i++) {
            driver.submit(0, T_IN, 0, Buffer.toWrite(DATA + 512L * i, 512));
        }
        driver.awaitUsed(0, 40);
        assertArrayEquals(content, guest(DATA + 39 * 512, 512));
        image.permits.release(1);
        driver.awaitUsed(0, 41);
    }

    @Test
    void diskGrowsWhileItIsInUse() throws Exception {
        open();
        assertEquals(S_IOERR, driver.request(0, T_IN, SECTORS, Buffer.toWrite(DATA, 512)));

        driver.disk.grow(2 * SIZE);

        assertEquals(2 * SECTORS, driver.control.readConfig(0, 8));
        assertEquals(1, driver.configChanges.get());
        assertEquals(S_OK, driver.request(0, T_IN, SECTORS, Buffer.toWrite(DATA, 512)));
        assertEquals(2 * SIZE, Files.size(file()));
        assertThrows(IllegalArgumentException.class, () -> driver.disk.grow(SIZE));
        assertThrows(IllegalArgumentException.class, () -> driver.disk.grow(2 * SIZE + 1));
    }

    @Test
    void requestsThatWaitForTheirRateEndWithAReset() throws Exception {
        open(Options.DEFAULT.withOperations(new RateLimit.Rate(1, 1)), false);
        driver.begin(ALL);
        assertEquals(S_OK, driver.request(0, T_IN, 0, Buffer.toWrite(DATA, 512)));
        for (int i = 0; i < 100; i++) { // which takes 100 s
            driver.submit(0, T_IN, 0, Buffer.toWrite(DATA, 512));
        }

        driver.control.setStatus(0);

        assertEquals(0, driver.control.status());
    }

    @ParameterizedTest
    @ValueSource(strings = {"twenty-one characters", "ümlaut", "new\nline"})
    void serialNumberThatCannotBeIsRefused(String serial) throws Exception {
        open();
        assertThrows(IllegalArgumentException.class, () -> Options.DEFAULT.withSerial(serial));
    }

    /// A thread's whole work on a request, without the thread.
    @Test
    void requestAllocatesNothingBesideTheSystemCall() throws Exception {
        open();
        driver.control.setStatus(0);
        GuestDriver its = driver.queues.getFirst();
        var queue = new VirtQueue(driver.memory, 0, VirtioBlock.QUEUE_SIZE, () -> {}, null);
        its.restart();
        its.enable(queue);
        queue.start(ALL);
        var requests =
                new BlockRequests(
                        driver.disk,
                        image,
                        new RateLimit(
                                RateLimit.Rate.UNLIMITED,
                                RateLimit.Rate.UNLIMITED,
                                System::nanoTime),
                        "");
        var chain = new DescriptorChain(driver.memory);
        driver.header(T_IN, 7);
        its.add(Buffer.toRead(HEADER, 16), Buffer.toWrite(DATA, 512), Buffer.toWrite(STATUS, 1));
        its.setAvailableIndex(0);
        var round =
                new Runnable() {
                    private int count;

                    @Override
                    public void run() {
                        its.setAvailableIndex(++count);
                        queue.take(chain);
                        queue.complete(chain, requests.handle(chain));
                        queue.awaitRequest();
                    }
                };
        try (EventFd event = EventFd.create("nobody's")) {
            // where only C1 compiles, the JDK's native calls leave the slice in which they put
            // errno
            long systemCall = Host.allocatedBytes(event::drain);

            long whole = Host.allocatedBytes(round);
            assertTrue(whole <= systemCall, () -> whole + " bytes, " + systemCall + " of the call");
        }
    }
}
