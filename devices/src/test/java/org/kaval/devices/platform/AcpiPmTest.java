package org.kaval.devices.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.FakeTime;
import org.kaval.devices.Host;

class AcpiPmTest {
    private static final int STATUS = 0;
    private static final int ENABLE = 2;
    private static final int CONTROL = 4;
    private static final int TIMER = 8;

    private static final int TMR = 1;
    private static final int PWRBTN = 1 << 8;

    /// SLP_EN and SLP_TYP 5.
    private static final int POWER_OFF = 1 << 13 | 5 << 10;

    /// 2³¹ ticks at 3.579545 MHz, rounded up to a nanosecond.
    private static final long HALF_TURN_NANOS = 599_932_015_941L;

    private final FakeTime time = new FakeTime("2026-11-22T20:00:00Z");
    private final List<Boolean> sci = new ArrayList<>();
    private int powerOffs;
    private final AcpiPm pm = new AcpiPm(time, time, sci::add, () -> powerOffs++);

    private boolean sciHigh() {
        return !sci.isEmpty() && sci.getLast();
    }

    @Test
    void sleepTypeOfS5WithTheEnableBitPowersOff() {
        pm.write(CONTROL, 2, POWER_OFF);

        assertEquals(1, powerOffs);
    }

    @Test
    void writeOfTheUpperByteAlonePowersOff() {
        pm.write(CONTROL + 1, 1, POWER_OFF >> 8);

        assertEquals(1, powerOffs);
    }

    @Test
    void writeOfTheLowerByteDoesNothing() {
        pm.write(CONTROL, 1, 0xff);

        assertEquals(0, powerOffs);
    }

    @Test
    void otherBitsDoNotMatter() {
        pm.write(CONTROL, 2, POWER_OFF | 0xc3ff);

        assertEquals(1, powerOffs);
    }

    @Test
    void sleepTypeWithoutTheEnableBitDoesNothing() {
        pm.write(CONTROL, 2, 5 << 10);

        assertEquals(0, powerOffs);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 4, 6, 7})
    void otherSleepTypesAreIgnored(int type) {
        pm.write(CONTROL, 2, 1 << 13 | type << 10);
        pm.write(CONTROL + 1, 1, 1 << 5 | type << 2);

        assertEquals(0, powerOffs);
    }

    @ParameterizedTest
    @CsvSource({"4, 2, 0x0001", "4, 1, 0x01", "5, 1, 0x00", "4, 4, 0x0001", "6, 2, 0x0000"})
    void readsAsAlwaysInAcpiMode(int offset, int size, long expected) {
        assertEquals(expected, pm.read(offset, size));
    }

    @Test
    void powerButtonRaisesTheSciWhereTheGuestListens() {
        pm.write(ENABLE, 2, PWRBTN);

        assertTrue(pm.powerButton());

        assertTrue(sciHigh());
        assertEquals(PWRBTN, pm.read(STATUS, 2));
    }

    @Test
    void powerButtonWaitsForAGuestThatDoesNotListen() {
        assertFalse(pm.powerButton());
        assertFalse(sciHigh());
        assertEquals(PWRBTN, pm.read(STATUS, 2));

        pm.write(ENABLE, 2, PWRBTN);

        assertTrue(sciHigh());
    }

    @Test
    void writingOneToTheStatusLowersTheSci() {
        pm.write(ENABLE, 2, PWRBTN);
        pm.powerButton();

        pm.write(STATUS, 2, PWRBTN);

        assertFalse(sciHigh());
        assertEquals(0, pm.read(STATUS, 2));
        assertEquals(PWRBTN, pm.read(ENABLE, 2));
    }

    @Test
    void writingZeroToTheStatusChangesNothing() {
        pm.powerButton();

        pm.write(STATUS, 2, 0);
        pm.write(STATUS, 1, 0xff);

        assertEquals(PWRBTN, pm.read(STATUS, 2));
    }

    @Test
    void statusAndEnableAreReachedByteByByteAndTogether() {
        pm.write(ENABLE + 1, 1, PWRBTN >> 8);
        pm.powerButton();

        assertEquals(1, pm.read(STATUS + 1, 1));
        assertEquals(1, pm.read(ENABLE + 1, 1));
        assertEquals((long) PWRBTN << 16 | PWRBTN, pm.read(STATUS, 4));

        pm.write(STATUS, 4, PWRBTN);
        assertEquals(0, pm.read(STATUS, 4));
    }

    @Test
    void enableBitsOfTheFixedEventsStayAndOthersDoNot() {
        pm.write(ENABLE, 2, 0xffff);

        int globalLock = 1 << 5;
        int realTimeClock = 1 << 10;
        assertEquals(PWRBTN | TMR | globalLock | realTimeClock, pm.read(ENABLE, 2));
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "279, 0", "280, 1", "1000000000, 3579545", "10000000000, 35795450"})
    void timerCountsAtItsRate(long nanos, long ticks) {
        time.advance(Duration.ofNanos(nanos));

        assertEquals(ticks, pm.read(TIMER, 4));
    }

    @Test
    void timerHasThirtyTwoBits() {
        time.advance(Duration.ofNanos(2 * HALF_TURN_NANOS));

        assertEquals(0, pm.read(TIMER, 4));
    }

    @Test
    void timerIsReadByteByByteAndNotWritten() {
        time.advance(Duration.ofSeconds(1)); // 3579545 is 0x369e99

        pm.write(TIMER, 4, 0);

        assertEquals(0x99, pm.read(TIMER, 1));
        assertEquals(0x36, pm.read(TIMER + 2, 1));
        assertEquals(0x369e, pm.read(TIMER + 1, 2));
    }

    @Test
    void topBitOfTheTimerIsAnEvent() {
        time.advance(Duration.ofNanos(HALF_TURN_NANOS - 1));
        assertEquals(0, pm.read(STATUS, 2));

        time.advance(Duration.ofNanos(1));

        assertEquals(TMR, pm.read(STATUS, 2));
        assertEquals(0x8000_0000L, pm.read(TIMER, 4));
    }

    @Test
    void topBitOfTheTimerRaisesTheSciWhereTheGuestListens() {
        pm.write(ENABLE, 2, TMR);

        time.advance(Duration.ofNanos(HALF_TURN_NANOS));
        assertTrue(sciHigh());
        pm.write(STATUS, 2, TMR);
        assertFalse(sciHigh());
        time.advance(Duration.ofNanos(HALF_TURN_NANOS));

        assertTrue(sciHigh());
    }

    @Test
    void timerOfTheHostRunsOnlyWhileTheGuestListens() {
        assertFalse(time.isSet());

        pm.write(ENABLE, 2, TMR);
        assertTrue(time.isSet());
        pm.write(ENABLE, 2, 0);

        assertFalse(time.isSet());
    }

    @Test
    void readingTheTimerAllocatesNothing() {
        var real = new AcpiPm(System::nanoTime, time, _ -> {}, () -> {});

        assertEquals(0, Host.allocatedBytes(() -> real.read(TIMER, 4)));
    }
}
