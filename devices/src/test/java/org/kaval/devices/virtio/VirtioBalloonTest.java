package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.devices.virtio.DeviceDriver.DATA;
import static org.kaval.devices.virtio.DeviceDriver.DEFAULT;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.Host;
import org.kaval.devices.StateFields;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.linux.ErrnoException;

class VirtioBalloonTest {
    private static final long FEATURES =
            DEFAULT | VirtioBalloon.F_STATS_VQ | VirtioBalloon.F_REPORTING;
    private static final long PAGES = 0x40_0000;
    private static final long PAGE = 4096;

    private final VirtioBalloon balloon = new VirtioBalloon("balloon");
    private DeviceDriver driver;

    @BeforeEach
    void open() throws ErrnoException {
        driver = new DeviceDriver(balloon);
        driver.begin(FEATURES);
    }

    @AfterEach
    void close() {
        driver.close();
    }

    /// Makes 16 pages from {@link #PAGES} on full.
    private void fill() {
        for (int i = 0; i < 16; i++) {
            driver.memory.writeByte(PAGES + i * PAGE, 1 + i);
            driver.memory.writeByte(PAGES + i * PAGE + PAGE - 1, 1 + i);
        }
    }

    /// Which of the 16 pages still have what was in them.
    private List<Integer> kept() {
        return IntStream.range(0, 16)
                .filter(i ->
                        driver.memory.readByte(PAGES + i * PAGE) == 1 + i
                                && driver.memory.readByte(PAGES + i * PAGE + PAGE - 1) == 1 + i)
                .boxed()
                .toList();
    }

    private Buffer numbers(long... pages) {
        for (int i = 0; i < pages.length; i++) {
            driver.memory.writeLe32(DATA + 4L * i, (int) pages[i]);
        }
        return Buffer.toRead(DATA, 4L * pages.length);
    }

    @Test
    void pagesThatAreGivenUpAreTheHosts() {
        fill();
        long first = PAGES / PAGE;
        driver.request(
                VirtioBalloon.INFLATE,
                numbers(first, first + 1, first + 5, first + 4, first + 3, first + 9, first + 9));

        assertEquals(List.of(2, 6, 7, 8, 10, 11, 12, 13, 14, 15), kept());
        assertEquals(0, driver.memory.readByte(PAGES));

        driver.memory.writeByte(PAGES, 7); // the guest takes one back
        driver.request(VirtioBalloon.DEFLATE, numbers(first));
        assertEquals(7, driver.memory.readByte(PAGES));
    }

    @ParameterizedTest
    @ValueSource(longs = {0xffff_ffffL, 0x800, 0x10_0000})
    void pageThatIsNoRamNeedsAReset(long page) {
        fill();
        driver.submit(VirtioBalloon.INFLATE, numbers(page));
        driver.awaitNeedsReset();

        driver.begin(FEATURES);
        driver.request(VirtioBalloon.INFLATE, numbers(PAGES / PAGE));
        assertEquals(15, kept().size());
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 7, 4L * VirtioBalloon.MAX_PAGES + 4})
    void numbersOfAWrongLengthNeedAReset(long length) {
        driver.submit(VirtioBalloon.INFLATE, Buffer.toRead(DATA, length));
        driver.awaitNeedsReset();
    }

    @Test
    void requestsOfNothingAreDone() {
        driver.request(VirtioBalloon.INFLATE, Buffer.toRead(DATA, 0));
        driver.request(VirtioBalloon.REPORTING, Buffer.toWrite(DATA, 0));
        assertEquals(List.of(), kept());
    }

    @ParameterizedTest
    @ValueSource(ints = {VirtioBalloon.REPORTING, VirtioBalloon.REPORTING + 1})
    void freePagesAreTheHosts(int queue) {
        fill();
        driver.request(
                queue,
                Buffer.toWrite(PAGES, 2 * PAGE),
                Buffer.toWrite(PAGES + 4 * PAGE + 1, 3 * PAGE - 2), // of which one is whole
                Buffer.toWrite(PAGES + 9 * PAGE + 1, PAGE - 2)); // of which none is

        assertEquals(List.of(2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), kept());
    }

    @Test
    void targetIsInTheConfigurationAndTheSizeIsTheDriversWord() {
        balloon.setTarget(3L << 20);

        assertEquals(1, driver.configChanges.get());
        assertEquals(768, driver.control.readConfig(0, 4));
        assertEquals(3L << 20, balloon.target());
        driver.control.writeConfig(4, 4, 0xffff_ffffL);
        assertEquals(0xffff_ffffL << 12, balloon.size());
        driver.control.writeConfig(0, 4, 1);
        assertEquals(768, driver.control.readConfig(0, 4));
        driver.begin(FEATURES);
        assertEquals(0, balloon.size());
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, 1, 4095, -4096, 1L << 45})
    void targetThatCannotBeIsRefused(long bytes) {
        assertThrows(IllegalArgumentException.class, () -> balloon.setTarget(bytes));
    }

    private void offerStatistics(int tag, long value, long length) {
        driver.memory.writeLe16(DATA, tag);
        driver.memory.writeLe64(DATA + 2, value);
        driver.memory.writeLe16(DATA + 10, 0xffff);
        driver.submit(VirtioBalloon.STATISTICS, Buffer.toRead(DATA, length));
    }

    /// Asks, and plays the driver meanwhile: it offers statistics at first, and new ones whenever
    /// it gets its buffer back.
    private BalloonStatistics ask(boolean first, int tag, long value, long length)
            throws Exception {
        CompletableFuture<Optional<BalloonStatistics>> answer =
                CompletableFuture.supplyAsync(this::ask);
        if (first) {
            offerStatistics(tag, value, length);
        }
        DeviceDriver.until(
                "an answer",
                () -> {
                    if (!driver.queues.get(VirtioBalloon.STATISTICS).collect().isEmpty()) {
                        offerStatistics(tag, value, length);
                    }
                    return answer.isDone();
                });
        return answer.join().orElseThrow();
    }

    private Optional<BalloonStatistics> ask() {
        try {
            return balloon.statistics(Host.LIMIT);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void statisticsAreAskedForAndNothingIsInFlightElse() throws Exception {
        assertEquals(
                new BalloonStatistics(-1, -1, -1, -1, 1234, -1, -1, -1), ask(true, 4, 1234, 10));
        DeviceDriver.until("it is put back", () -> driver.control.awaitIdle(0));

        assertEquals(Long.MIN_VALUE, ask(false, 7, Long.MIN_VALUE, 20).caches());
        DeviceDriver.until("it is put back", () -> driver.control.awaitIdle(0));
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 9, 11, 19, 1 << 20})
    void statisticsOfAnyLengthAreTaken(long length) throws Exception {
        long expected = length < 10 ? -1 : 5;
        assertEquals(expected, ask(true, 1, 5, length).swappedOut());
        assertEquals(4, driver.control.status() & (4 | VirtioControl.NEEDS_RESET));
    }

    @Test
    void guestThatSaysNothingIsNotWaitedForLongerThanAsked() throws Exception {
        assertEquals(Optional.empty(), balloon.statistics(Duration.ofMillis(1)));
    }

    @Test
    void restoredOneKnowsItsSizeAndWhoseTurnItIs() throws Exception {
        balloon.setTarget(1 << 20);
        driver.control.writeConfig(4, 4, 200);
        assertEquals(1234, ask(true, 4, 1234, 10).free());
        driver.control.hold();
        assertTrue(driver.control.awaitIdle(TimeUnit.SECONDS.toNanos(30)));
        var state = StateFields.saving();
        driver.control.persist(state);
        driver.control.setStatus(0);
        balloon.setTarget(0);

        driver.control.persist(StateFields.restoring(state.saved(), 0));
        driver.control.restored();
        driver.control.release();

        assertEquals(1 << 20, balloon.target());
        assertEquals(200 * 4096, balloon.size());
        assertEquals(256 | 200L << 32, driver.control.readConfig(0, 8));
        assertEquals(99, ask(false, 4, 99, 10).free());
    }
}
