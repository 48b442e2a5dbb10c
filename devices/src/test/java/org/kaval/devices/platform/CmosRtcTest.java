package org.kaval.devices.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.FakeTime;

class CmosRtcTest {
    private static final int A = 0x0a;
    private static final int B = 0x0b;
    private static final int C = 0x0c;

    private static final int HOURS_24 = 0x02;
    private static final int BINARY = 0x04;
    private static final int UIE = 0x10;
    private static final int AIE = 0x20;
    private static final int PIE = 0x40;
    private static final int SET = 0x80;

    private static final int IRQ_UPDATE = 0x90;
    private static final int IRQ_ALARM = 0xa0;
    private static final int IRQ_PERIODIC = 0xc0;

    /// Seconds, minutes, hours, day of the week, day, month, year, century.
    private static final int[] TIME = {0, 2, 4, 6, 7, 8, 9, 0x32};

    // a Sunday
    private final FakeTime time = new FakeTime("2026-11-22T20:34:56Z");
    private int edges;
    private final CmosRtc rtc = new CmosRtc(time, time, () -> edges++, 3L << 30, 1L << 30);

    private int read(int register) {
        rtc.write(0, 1, register);
        return (int) rtc.read(1, 1);
    }

    private void write(int register, int value) {
        rtc.write(0, 1, register);
        rtc.write(1, 1, value);
    }

    /// The time as eight hexadecimal numbers, in the order of {@link #TIME}.
    private List<String> time() {
        return IntStream.of(TIME).mapToObj(r -> "%02x".formatted(read(r))).toList();
    }

    /// Sets the time as Linux does (drivers/rtc/rtc-mc146818-lib.c): stopped, and the divider
    /// reset.
    private void setAsLinuxDoes(int... values) {
        int control = read(B);
        write(B, control | SET);
        int divider = read(A);
        write(A, divider | 0x70);
        for (int i = 0; i < values.length; i++) {
            write(TIME[i], values[i]);
        }
        write(B, control);
        write(A, divider);
    }

    private void advance(String duration) {
        time.advance(Duration.parse(duration));
    }

    @Test
    void timeIsTheHostsInBcd() {
        assertEquals(List.of("56", "34", "20", "01", "22", "11", "26", "20"), time());
    }

    @Test
    void timeIsBinaryWhereTheGuestWantsIt() {
        write(B, HOURS_24 | BINARY);

        assertEquals(List.of("38", "22", "14", "01", "16", "0b", "1a", "14"), time());
    }

    @ParameterizedTest
    @CsvSource({
        "2026-11-22T00:00:00Z, 0x12",
        "2026-11-22T01:00:00Z, 0x01",
        "2026-11-22T12:00:00Z, 0x92",
        "2026-11-22T13:00:00Z, 0x81",
        "2026-11-22T23:00:00Z, 0x91",
    })
    void hoursAreTwelveWhereTheGuestWantsIt(String instant, int hours) {
        write(B, 0);

        time.setClock(instant);

        assertEquals(hours, read(4));
    }

    @Test
    void timeGoesOn() {
        advance("PT3H25M4S");

        assertEquals(List.of("00", "00", "00", "02", "23", "11", "26", "20"), time());
    }

    @Test
    void timeFollowsTheHostsClock() {
        time.setClock("2030-01-02T03:04:05Z");

        assertEquals(List.of("05", "04", "03", "04", "02", "01", "30", "20"), time());
    }

    @Test
    void timeThatLinuxSetsStaysAhead() {
        setAsLinuxDoes(0x10, 0x20, 0x03, 0x05, 0x31, 0x12, 0x99, 0x19);
        assertEquals(List.of("10", "20", "03", "06", "31", "12", "99", "19"), time());

        advance("P1D");

        assertEquals(List.of("10", "20", "03", "07", "01", "01", "00", "20"), time());
    }

    @Test
    void firstSecondAfterTheDividersResetIsHalfAsLong() {
        advance("PT0.1S");
        setAsLinuxDoes(0x10, 0x20, 0x03);

        advance("PT0.499S");
        assertEquals(0x10, read(0));
        advance("PT0.001S");
        assertEquals(0x11, read(0));
        advance("PT1S");
        assertEquals(0x12, read(0));
    }

    @Test
    void stoppedClockShowsWhatIsWrittenAndGoesOnFromThere() {
        write(B, SET | HOURS_24);
        advance("PT10S");
        assertEquals(0x56, read(0));
        write(0, 0x30);
        assertEquals(0x30, read(0));

        write(B, HOURS_24);
        assertEquals(0x30, read(0));
        advance("PT1S");

        assertEquals(0x31, read(0));
    }

    @Test
    void runningClockTakesASingleRegister() {
        write(4, 0x05);
        advance("PT4S");

        assertEquals(List.of("00", "35", "05", "01", "22", "11", "26", "20"), time());
    }

    @Test
    void dateThatIsNoneIsCountedOn() {
        setAsLinuxDoes(0x75, 0x99, 0x24, 0, 0x31, 0x14, 0x26, 0x20);

        assertEquals(List.of("15", "40", "01", "05", "04", "03", "27", "20"), time());
    }

    @ParameterizedTest
    @ValueSource(ints = {0x00, 0xff})
    void anyValuesAreTaken(int value) {
        setAsLinuxDoes(value, value, value, value, value, value, value, value);
        write(B, BINARY);
        setAsLinuxDoes(value, value, value, value, value, value, value, value);

        advance("P400D");

        assertTrue(read(7) <= 31);
    }

    @Test
    void updateInProgressIsSetBeforeTheUpdate() {
        advance("PT0.999755S");
        assertEquals(0x26, read(A));
        advance("PT0.000001S");
        assertEquals(0xa6, read(A));
        advance("PT0.000244S");

        assertEquals(0x26, read(A));
    }

    @Test
    void stoppedClockIsNotUpdated() {
        write(B, SET | HOURS_24);
        advance("PT0.9999S");

        assertEquals(0x26, read(A));
        advance("PT2S");
        assertEquals(PIE, read(C)); // the divider runs on
    }

    @Test
    void updateInterruptComesEachSecondThatTheGuestReads() {
        advance("PT0.3S");
        write(B, HOURS_24 | UIE);
        advance("PT0.699S");
        assertEquals(0, edges);

        advance("PT0.001S");
        assertEquals(1, edges);
        assertEquals(IRQ_UPDATE, read(C) & IRQ_UPDATE);
        advance("PT1S");

        assertEquals(2, edges);
    }

    @Test
    void interruptThatNobodyReadsIsNotRepeated() {
        write(B, HOURS_24 | UIE | PIE);
        advance("PT10S");

        assertEquals(1, edges);
        assertFalse(time.isSet());
    }

    @Test
    void readingCClearsIt() {
        advance("PT1S");

        assertEquals(0x50, read(C)); // periodic and update, neither enabled
        assertEquals(0, read(C));
    }

    @Test
    void alarmInterruptsAtItsTime() {
        write(1, 0x00);
        write(3, 0x36);
        write(5, 0x20);
        write(B, HOURS_24 | AIE);
        read(C);

        advance("PT1M3.9S");
        assertEquals(0, edges);
        advance("PT0.1S");

        assertEquals(1, edges);
        assertEquals(IRQ_ALARM, read(C) & IRQ_ALARM);
    }

    @Test
    void alarmOfTomorrowIsWaitedFor() {
        write(1, 0x55);
        write(3, 0x34);
        write(5, 0x20);
        write(B, HOURS_24 | AIE);

        advance("PT23H59M58S");
        assertEquals(0, edges);
        advance("PT1S");

        assertEquals(1, edges);
    }

    @Test
    void alarmWithoutHoursAndMinutesComesEachMinute() {
        write(1, 0x10);
        write(3, 0xff);
        write(5, 0xc0);
        write(B, HOURS_24 | AIE);

        advance("PT14S");
        assertEquals(1, edges);
        read(C);
        advance("PT1M");

        assertEquals(2, edges);
    }

    @Test
    void alarmThatIsNoTimeNeverComes() {
        write(1, 0x7f);
        write(B, HOURS_24 | AIE);

        advance("P2D");

        assertEquals(0, edges);
        assertFalse(time.isSet());
    }

    @Test
    void alarmIsInTheGuestsTime() {
        setAsLinuxDoes(0x00, 0x00, 0x06);
        write(1, 0x01);
        write(3, 0x00);
        write(5, 0x06);
        write(B, HOURS_24 | AIE);

        advance("PT0.5S");

        assertEquals(1, edges);
    }

    @Test
    void alarmIsFoundWhenTheHostsClockIsSet() {
        write(1, 0x00);
        write(3, 0x00);
        write(5, 0x23);
        write(B, HOURS_24 | AIE);

        time.setClock("2026-11-22T22:59:30Z");
        advance("PT1M");

        assertEquals(1, edges);
    }

    @ParameterizedTest
    @CsvSource({"6, 976562", "1, 3906250", "2, 7812500", "3, 122070", "15, 500000000"})
    void periodicInterruptComesAtItsRate(int rate, long nanos) {
        write(A, 0x20 | rate);
        write(B, HOURS_24 | PIE);

        time.advance(Duration.ofNanos(nanos - 1));
        assertEquals(0, edges);
        time.advance(Duration.ofNanos(1));

        assertEquals(1, edges);
        assertEquals(IRQ_PERIODIC, read(C) & IRQ_PERIODIC);
    }

    @Test
    void rateOfZeroIsNone() {
        write(A, 0x20);
        write(B, HOURS_24 | PIE);
        advance("PT5S");

        assertEquals(0, edges);
    }

    @Test
    void enablingWhatHasHappenedInterruptsAtOnce() {
        advance("PT1S");

        write(B, HOURS_24 | UIE);

        assertEquals(1, edges);
    }

    @Test
    void stoppingTheClockSwitchesItsInterruptOff() {
        write(B, HOURS_24 | UIE | SET);

        assertEquals(HOURS_24 | SET, read(B));
    }

    @Test
    void timerOfTheHostRunsOnlyForWhatIsEnabled() {
        write(1, 0x00);
        assertFalse(time.isSet());

        write(B, HOURS_24 | AIE);
        assertTrue(time.isSet());
        write(B, HOURS_24);

        assertFalse(time.isSet());
    }

    @Test
    void timeIsValidAndIndexIsWriteOnly() {
        assertEquals(0x80, read(0x0d));
        assertEquals(0xff, rtc.read(0, 1));
    }

    @Test
    void topBitOfTheIndexIsTheNmisAndNotPartOfIt() {
        rtc.write(0, 1, 0x8d);

        assertEquals(0x80, rtc.read(1, 1));
    }

    @Test
    void wordHasIndexAndValue() {
        rtc.write(0, 2, 0xab40);

        assertEquals(0xab, read(0x40));
        assertEquals(0xabff, rtc.read(0, 2));
    }

    @Test
    void memoryKeepsWhatIsWrittenAndStatusDoesNot() {
        write(0x0f, 0x0a);
        write(0x7f, 0xff);
        write(C, 0xff);
        write(0x0d, 0);

        assertEquals(0x0a, read(0x0f));
        assertEquals(0xff, read(0x7f));
        assertEquals(0, read(C));
        assertEquals(0x80, read(0x0d));
    }

    /// 640 KiB; 65535 KiB at most above; (3 GiB - 16 MiB) / 64 KiB; 1 GiB / 64 KiB.
    @ParameterizedTest
    @CsvSource({
        "0x15, 0x80",
        "0x16, 0x02",
        "0x17, 0xff",
        "0x18, 0xff",
        "0x30, 0xff",
        "0x31, 0xff",
        "0x34, 0x00",
        "0x35, 0xbf",
        "0x5b, 0x00",
        "0x5c, 0x40",
        "0x5d, 0x00",
    })
    void memorySizeIsWhereFirmwareLooks(int register, int expected) {
        assertEquals(expected, read(register));
    }

    @ParameterizedTest
    @CsvSource({"0x15, 0x80", "0x17, 0x00", "0x18, 0x3c", "0x34, 0x00", "0x35, 0x00", "0x5b, 0"})
    void littleMemoryIsNotNegative(int register, int expected) {
        var small = new CmosRtc(time, time, () -> {}, 16 << 20, 0);

        small.write(0, 1, register);

        assertEquals(expected, small.read(1, 1));
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4})
    void anyTrafficIsTaken(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        for (int i = 0; i < 20_000; i++) {
            rtc.write(0, 2, random.nextInt(0x0e) | random.nextInt(256) << 8);
            rtc.read(1, 1);
            time.advance(Duration.ofNanos(random.nextLong(3_000_000_000L)));
        }
        write(A, 0x26);
        write(B, HOURS_24 | UIE);
        read(C);
        int before = edges;
        advance("PT2S");

        assertEquals(before + 1, edges, () -> "seed " + seed);
    }
}
