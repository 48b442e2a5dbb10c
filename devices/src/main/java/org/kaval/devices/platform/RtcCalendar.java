package org.kaval.devices.platform;

import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;

/// What a {@link CmosRtc}'s time registers mean: BCD or binary, 12 or 24 hours, as its register B
/// says.
///
/// A guest may write what is no time: it then counts on from there, so that month 14 is February of
/// the next year.
final class RtcCalendar {
    /// Bit of register B.
    static final int HOURS_24 = 1 << 1;

    /// Bit of register B.
    static final int BINARY = 1 << 2;

    static final int CENTURY = 0x32;

    private static final int SECONDS = 0;
    private static final int SECONDS_ALARM = 1;
    private static final int MINUTES = 2;
    private static final int MINUTES_ALARM = 3;
    private static final int HOURS = 4;
    private static final int HOURS_ALARM = 5;
    private static final int WEEKDAY = 6;
    private static final int DAY = 7;
    private static final int MONTH = 8;
    private static final int YEAR = 9;
    private static final int B = 0xb;

    private static final int[] TIME = {SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY};
    private static final int PM = 1 << 7;
    private static final int ANY = 0xc0;

    private static final int MINUTE = 60;
    private static final int HOUR = 60 * MINUTE;
    private static final int DAY_SECONDS = 24 * HOUR;

    private RtcCalendar() {}

    /// Whether a register is a part of the time.
    static boolean isTime(int register) {
        return switch (register) {
            case SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY -> true;
            default -> false;
        };
    }

    /// What a time register has.
    static int read(int register, long epochSecond, int b) {
        LocalDateTime time = LocalDateTime.ofEpochSecond(epochSecond, 0, ZoneOffset.UTC);
        return read(register, time, b);
    }

    /// Sets all time registers.
    static void writeAll(byte[] ram, long epochSecond) {
        LocalDateTime time = LocalDateTime.ofEpochSecond(epochSecond, 0, ZoneOffset.UTC);
        for (int register : TIME) {
            ram[register] = (byte) read(register, time, ram[B]);
        }
    }

    /// The second that the time registers mean.
    static long readAll(byte[] ram) {
        int year = decode(ram, CENTURY) * 100 + decode(ram, YEAR);
        return LocalDate.of(year, 1, 1)
                .plusMonths(decode(ram, MONTH) - 1L)
                .plusDays(decode(ram, DAY) - 1L)
                .atTime(LocalTime.MIDNIGHT)
                .plus(secondOfDay(ram), ChronoUnit.SECONDS)
                .toEpochSecond(ZoneOffset.UTC);
    }

    /// The first second after `epochSecond` at which the alarm goes; {@link Long#MAX_VALUE} if it
    /// never does.
    static long nextAlarm(byte[] ram, long epochSecond) {
        int hours = ram[HOURS_ALARM] & 0xff;
        int minutes = ram[MINUTES_ALARM] & 0xff;
        int seconds = ram[SECONDS_ALARM] & 0xff;
        long second = epochSecond + 1;
        long end = second + DAY_SECONDS;
        while (second < end) {
            int ofDay = (int) Math.floorMod(second, (long) DAY_SECONDS);
            if (!matches(hours, encodeHour(ofDay / HOUR, ram[B]))) {
                second += HOUR - ofDay % HOUR;
            } else if (!matches(minutes, encode(ofDay / MINUTE % 60, ram[B]))) {
                second += MINUTE - ofDay % MINUTE;
            } else if (!matches(seconds, encode(ofDay % MINUTE, ram[B]))) {
                second++;
            } else {
                return second;
            }
        }
        return Long.MAX_VALUE;
    }

    private static boolean matches(int alarm, int register) {
        return alarm >= ANY || alarm == register;
    }

    private static int read(int register, LocalDateTime time, int b) {
        return switch (register) {
            case SECONDS -> encode(time.getSecond(), b);
            case MINUTES -> encode(time.getMinute(), b);
            case HOURS -> encodeHour(time.getHour(), b);
            case WEEKDAY -> encode(time.getDayOfWeek().getValue() % 7 + 1, b);
            case DAY -> encode(time.getDayOfMonth(), b);
            case MONTH -> encode(time.getMonthValue(), b);
            case YEAR -> encode(Math.floorMod(time.getYear(), 100), b);
            default -> encode(Math.floorMod(Math.floorDiv(time.getYear(), 100), 100), b);
        };
    }

    private static long secondOfDay(byte[] ram) {
        return decodeHour(ram) * (long) HOUR
                + decode(ram, MINUTES) * (long) MINUTE
                + decode(ram, SECONDS);
    }

    private static int decodeHour(byte[] ram) {
        int raw = ram[HOURS] & 0xff;
        if ((ram[B] & HOURS_24) != 0) {
            return decode(raw, ram[B]);
        }
        int hour = decode(raw & ~PM, ram[B]) % 12; // 12 is the first
        return (raw & PM) != 0 ? hour + 12 : hour;
    }

    private static int encodeHour(int hour, int b) {
        if ((b & HOURS_24) != 0) {
            return encode(hour, b);
        }
        int half = hour % 12 == 0 ? 12 : hour % 12;
        return encode(half, b) | (hour >= 12 ? PM : 0);
    }

    private static int decode(byte[] ram, int register) {
        return decode(ram[register] & 0xff, ram[B]);
    }

    private static int decode(int raw, int b) {
        return (b & BINARY) != 0 ? raw : (raw >> 4) * 10 + (raw & 0xf);
    }

    private static int encode(int value, int b) {
        return (b & BINARY) != 0 ? value : (value / 10) << 4 | (value % 10);
    }
}
