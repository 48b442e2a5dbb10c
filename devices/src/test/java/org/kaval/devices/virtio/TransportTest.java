package org.kaval.devices.virtio;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.kaval.devices.CapturedLog;
import org.kaval.devices.Host;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.memory.GuestMemory;

/// What a driver and a device see of each other, whatever is between them: each transport runs all
/// of this.
abstract class TransportTest {
    static final long RAM = 1 << 20;
    static final long RINGS = 0x1000;
    static final long DATA = 0x8000;
    static final int ACKNOWLEDGE = 1;
    static final int DRIVER = 2;
    static final int DRIVER_OK = 4;
    static final int FEATURES_OK = 8;
    static final int NEEDS_RESET = 0x40;
    static final int FAILED = 0x80;
    static final long VERSION_1 = 1L << 32;
    static final long OFFERED = VERSION_1 | 3L << 28 | EchoDevice.FEATURES;

    final GuestMemory memory = GuestDriver.memory(RAM);
    final EchoDevice device = new EchoDevice();
    final GuestDriver driver = new GuestDriver(memory, RINGS, EchoDevice.SIZE);
    final GuestDriver other = new GuestDriver(memory, RINGS + 0x800, EchoDevice.SIZE);

    /// What a driver does, in the registers of a transport.
    interface Registers {
        int status();

        void setStatus(int value);

        long deviceFeatures();

        void setDriverFeatures(long features);

        /// Sets a queue up and enables it.
        void enable(int index, int size, long descriptors, long available, long used);

        boolean isEnabled(int index);

        void ring(int index);

        long config(int offset, int size);

        void setConfig(int offset, int size, long value);

        int generation();

        /// How many interrupts there have been for queues, and for the configuration.
        int queueInterrupts();

        int configInterrupts();
    }

    abstract Registers registers();

    abstract void close();

    @AfterEach
    void free() {
        device.permits.release(Integer.MAX_VALUE / 4);
        close();
        memory.close();
    }

    void enable(int index, GuestDriver its) {
        registers().enable(index, its.size, its.descriptors, its.available, its.used);
    }

    /// All steps of §3.1.1.
    void begin(long features) {
        Registers registers = registers();
        registers.setStatus(0);
        registers.setStatus(ACKNOWLEDGE);
        registers.setStatus(ACKNOWLEDGE | DRIVER);
        registers.setDriverFeatures(features);
        registers.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
        assertTrue((registers.status() & FEATURES_OK) != 0);
        driver.restart();
        other.restart();
        enable(0, driver);
        enable(1, other);
        registers.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }

    void until(String what, Callable<Boolean> condition) {
        try {
            Host.until(what, condition);
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    /// Has `text` echoed through a queue.
    void echo(int index, GuestDriver its, String text) {
        memory.write(DATA, text.getBytes(US_ASCII));
        int before = its.usedIndex();
        its.add(Buffer.toRead(DATA, text.length()), Buffer.toWrite(DATA + 0x100, text.length()));
        registers().ring(index);
        until("the request is used", () -> its.usedIndex() != before);
        byte[] bytes = new byte[text.length()];
        memory.read(DATA + 0x100, bytes);
        assertEquals(text, new String(bytes, US_ASCII));
        its.collect();
    }

    @Test
    void offersTheFeaturesOfTheDeviceAndItsOwn() {
        assertEquals(OFFERED, registers().deviceFeatures());
    }

    @Test
    void requestsAreServedAndTold() {
        begin(OFFERED);

        echo(0, driver, "hello");
        echo(1, other, "world");

        assertEquals(List.of("activate 0x%x".formatted(OFFERED)), device.events);
        until("both interrupts", () -> registers().queueInterrupts() == 2);
        assertEquals(0, registers().configInterrupts());
    }

    @Test
    void requestsFromBeforeDriverOkAreServedThen() {
        Registers registers = registers();
        registers.setStatus(ACKNOWLEDGE | DRIVER);
        registers.setDriverFeatures(VERSION_1);
        registers.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
        enable(0, driver);
        driver.add(Buffer.toRead(DATA, 4), Buffer.toWrite(DATA + 8, 4));
        registers.ring(0);
        assertEquals(0, driver.usedIndex());
        assertEquals(List.of(), device.events);

        registers.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);

        until("the request is used", () -> driver.usedIndex() == 1);
    }

    @Test
    void featuresThatAreNotOfferedAreNotAccepted() {
        registers().setStatus(ACKNOWLEDGE | DRIVER);
        registers().setDriverFeatures(VERSION_1 | 2);
        registers().setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);

        assertEquals(ACKNOWLEDGE | DRIVER, registers().status());
        registers().setDriverFeatures(VERSION_1 | 4);
        registers().setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
        assertEquals(ACKNOWLEDGE | DRIVER | FEATURES_OK, registers().status());
    }

    @Test
    void legacyDriverIsNotAccepted() {
        registers().setStatus(ACKNOWLEDGE | DRIVER);
        registers().setDriverFeatures(EchoDevice.FEATURES);
        registers().setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);

        assertEquals(ACKNOWLEDGE | DRIVER, registers().status());
    }

    @Test
    void featuresStayOnceTheyAreAccepted() {
        registers().setStatus(ACKNOWLEDGE | DRIVER);
        registers().setDriverFeatures(VERSION_1);
        registers().setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);

        registers().setDriverFeatures(VERSION_1 | 1);
        registers().setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);

        assertEquals(List.of("activate 0x100000000"), device.events);
    }

    @Test
    void statusIsTakenBackByAResetOnly() {
        begin(OFFERED);

        registers().setStatus(ACKNOWLEDGE);

        assertEquals(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, registers().status());
        registers().setStatus(FAILED);
        assertTrue((registers().status() & FAILED) != 0);
    }

    @Test
    void resetBeginsAnew() {
        begin(OFFERED);
        echo(0, driver, "hello");

        registers().setStatus(0);

        assertEquals(0, registers().status());
        assertFalse(registers().isEnabled(0));
        begin(VERSION_1);
        echo(0, driver, "again");
        assertEquals(
                List.of("activate 0x%x".formatted(OFFERED), "reset", "activate 0x100000000"),
                device.events);
    }

    @Test
    void resetWaitsForWhatIsInFlightAndNothingIsUsedAfterIt() throws Exception {
        device.permits.drainPermits();
        begin(OFFERED);
        for (int i = 0; i < 4; i++) {
            driver.add(Buffer.toRead(DATA, 4), Buffer.toWrite(DATA + 0x100, 4));
        }
        registers().ring(0);
        until("all threads are busy", () -> device.begun.get() == EchoDevice.THREADS);

        var reset = CompletableFuture.runAsync(() -> registers().setStatus(0));
        until("the queue has stopped", () -> !device.link().queue(0).awaitRequest());
        assertFalse(reset.isDone());
        device.permits.release(EchoDevice.THREADS);
        reset.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS);

        assertEquals(EchoDevice.THREADS, device.begun.get());
        assertEquals(0, driver.usedIndex());
        assertEquals(0, registers().queueInterrupts());
        device.permits.release(100);
        begin(OFFERED);
        echo(0, driver, "again");
    }

    @Test
    void severalRequestsAreInFlightAtOnce() {
        device.permits.drainPermits();
        begin(OFFERED);
        for (int i = 0; i < 4; i++) {
            driver.add(Buffer.toRead(DATA, 4), Buffer.toWrite(DATA + 0x100, 4));
            registers().ring(0);
        }

        until("all threads are busy", () -> device.begun.get() == EchoDevice.THREADS);

        device.permits.release(4);
        until("all are used", () -> driver.usedIndex() == 4);
    }

    @Test
    void breachOfTheRingsNeedsAResetAndIsLoggedOnce() {
        try (var log = new CapturedLog(VirtioControl.class)) {
            begin(OFFERED);
            driver.offer(EchoDevice.SIZE);
            other.offer(EchoDevice.SIZE);
            registers().ring(0);
            registers().ring(1);

            until("it needs a reset", () -> (registers().status() & NEEDS_RESET) != 0);
            until("the driver is told", () -> registers().configInterrupts() == 1);
            other.add(Buffer.toRead(DATA, 4));
            registers().ring(1);

            assertEquals(0, other.usedIndex());
            assertEquals(1, log.lines().size(), log.lines().toString());
            assertTrue(log.lines().getFirst().startsWith("echo0 needs a reset: queue "));
        }
        begin(OFFERED);
        assertEquals(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, registers().status());
        echo(0, driver, "again");
    }

    @Test
    void logOfBreachesEnds() {
        try (var log = new CapturedLog(VirtioControl.class)) {
            for (int i = 0; i < 40; i++) {
                registers().setStatus(ACKNOWLEDGE | DRIVER | DRIVER_OK);
                assertTrue((registers().status() & NEEDS_RESET) != 0);
                registers().setStatus(0);
            }
            assertEquals(16, log.lines().size());
        }
    }

    @Test
    void ringsThatCannotBeNeedAReset() {
        registers().setStatus(ACKNOWLEDGE | DRIVER);
        registers().setDriverFeatures(VERSION_1);
        registers().setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
        registers().enable(0, 8, RAM - 16, RINGS, RINGS);

        registers().setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);

        assertTrue((registers().status() & NEEDS_RESET) != 0);
        assertEquals(List.of(), device.events);
        begin(OFFERED);
        echo(0, driver, "again");
    }

    @Test
    void queueThatIsEnabledLateNeedsAReset() {
        registers().setStatus(ACKNOWLEDGE | DRIVER);
        registers().setDriverFeatures(VERSION_1);
        registers().setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);

        enable(0, driver);

        assertTrue((registers().status() & NEEDS_RESET) != 0);
    }

    @Test
    void configurationIsReadInPieces() {
        assertEquals(0x5566_7788L, registers().config(0, 4) & 0xffff_ffffL);
        assertEquals(0x1122_3344L, registers().config(4, 4) & 0xffff_ffffL);
        assertEquals(0x66, registers().config(2, 1) & 0xff);
        assertEquals(0, registers().config(8, 4) & 0xffff_ffffL);
        assertEquals(0, registers().config(0x700, 4) & 0xffff_ffffL);
        registers().setConfig(8, 2, 0x1234);
        assertEquals(List.of("config 0x8+2 0x1234"), device.events);
    }

    @Test
    void changeOfTheConfigurationIsTold() {
        begin(OFFERED);
        int before = registers().generation();

        device.link().changeConfig(() -> device.config.set(0, 8, 5));

        assertTrue(registers().generation() != before);
        assertEquals(5, registers().config(0, 4));
        assertEquals(1, registers().configInterrupts());
    }

    @Test
    void changeBeforeDriverOkIsNotTold() {
        device.link().changeConfig(() -> device.config.set(0, 8, 5));

        assertEquals(0, registers().configInterrupts());
    }
}
