package org.kaval.devices.platform;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.temporal.ChronoField;
import java.util.concurrent.TimeUnit;
import org.kaval.devices.Device;
import org.kaval.devices.DeviceTimer;
import org.kaval.devices.InterruptLine;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateFields;
import org.kaval.memory.GuestRange;

/// The real-time clock and the CMOS memory of a PC (Motorola MC146818A data sheet): 128 bytes
/// behind two ports.
///
/// | offset | read   | write                                       |
/// |-------:|--------|---------------------------------------------|
/// |      0 | 0xff   | which register, bits 0-6; bit 7 masks the NMI, of which there is none |
/// |      1 | the register | the register                          |
///
/// | register       | what                                                                  |
/// |---------------:|-----------------------------------------------------------------------|
/// | 0x00, 02, 04   | seconds, minutes, hours                                               |
/// | 0x01, 03, 05   | the same of the alarm; 0xc0 and above means any                       |
/// | 0x06           | day of the week, from the date; Sunday is 1                           |
/// | 0x07, 08, 09, 32 | day, month, year, century                                           |
/// | 0x0a           | A: periodic rate (0-3), divider (4-6), update in progress (7)         |
/// | 0x0b           | B: 24 hours (1), binary (2), interrupt enables (4-6), stop (7)        |
/// | 0x0c           | C: update ended (4), alarm (5), periodic (6), interrupt (7); reading clears |
/// | 0x0d           | D: the time is valid (7)                                              |
/// | 0x15-16, 17-18, 30-31 | memory below 1 MiB, and above, in KiB                          |
/// | 0x34-35, 5b-5d | memory between 16 MiB and 4 GiB, and above 4 GiB, in 64 KiB (firmware reads it) |
/// | the others     | memory                                                                |
///
/// The time is UTC and the host's; when the guest sets it, the difference to the host's is kept.
/// Interrupt 8 makes an edge when bit 7 of C rises: until the guest has read C there is no other,
/// so a guest's clock cannot keep the host busy.
///
/// Any thread (guarded by this).
public final class CmosRtc implements Device, Persistent {
    /// Where it is.
    public static final GuestRange PORTS = new GuestRange(0x70, 2);

    /// Its interrupt.
    public static final int IRQ = 8;

    /// Which register has the century; ACPI leaves the choice to the machine (FADT, CENTURY).
    public static final int CENTURY = RtcCalendar.CENTURY;

    private static final int SIZE = 128;
    private static final int A = 0x0a;
    private static final int B = 0x0b;
    private static final int C = 0x0c;
    private static final int D = 0x0d;

    private static final int A_UPDATE_IN_PROGRESS = 1 << 7;
    private static final int A_DIVIDER_RESET = 6 << 4; // 6 and 7
    private static final int A_DEFAULT = 0x26; // 32768 Hz, periodic rate 1024 Hz
    private static final int B_STOP = 1 << 7;
    private static final int PERIODIC = 1 << 6; // in B and C
    private static final int ALARM = 1 << 5;
    private static final int UPDATE = 1 << 4;
    private static final int EVENTS = PERIODIC | ALARM | UPDATE;
    private static final int C_INTERRUPT = 1 << 7;
    private static final int D_VALID = 1 << 7;

    private static final long NANOS_PER_SECOND = TimeUnit.SECONDS.toNanos(1);

    /// Data sheet, "Update Cycle": so long before an update its bit is set.
    private static final long UPDATE_WARNING_NANOS = TimeUnit.MICROSECONDS.toNanos(244);

    /// Data sheet, "Divider Control": the first update after the divider's reset.
    private static final long FIRST_UPDATE_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

    /// The host's clock may be set, which the timer does not see: so it is looked at as often.
    private static final long LONGEST_WAIT_NANOS = TimeUnit.MINUTES.toNanos(1);

    /// In seconds: what a guest can write is within 17,000 years.
    private static final long MOST_AHEAD = 1_000_000_000_000L;

    private final InstantSource time;
    private final DeviceTimer timer;
    private final InterruptLine line;
    private final Runnable onTimer = this::timerExpired;
    private final byte[] ram = new byte[SIZE];
    private int index;
    private int flags; // of C, without the interrupt bit
    private boolean interrupt;
    private Duration ahead = Duration.ZERO; // what the guest's time is more than the host's
    private Instant seen; // the guest's time up to which the flags are set

    /// @param time the host's clock
    /// @param timer for this device alone
    /// @param line is pulsed on each rising edge of the interrupt
    /// @param lowMemory where RAM below 4 GiB ends, in bytes
    /// @param highMemory how much RAM is above 4 GiB, in bytes
    public CmosRtc(
            InstantSource time,
            DeviceTimer timer,
            InterruptLine line,
            long lowMemory,
            long highMemory) {
        this.time = time;
        this.timer = timer;
        this.line = line;
        this.seen = time.instant();
        ram[A] = A_DEFAULT;
        ram[B] = RtcCalendar.HOURS_24;
        CmosMemorySize.write(ram, lowMemory, highMemory);
    }

    @Override
    public synchronized long read(long offset, int size) {
        long value = 0;
        for (int i = 0; i < size; i++) {
            long register = offset + i == 0 ? 0xff : readRegister();
            value |= register << (i * Byte.SIZE);
        }
        return value;
    }

    @Override
    public synchronized void write(long offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            int written = (int) (value >>> (i * Byte.SIZE)) & 0xff;
            if (offset + i == 0) {
                index = written % SIZE;
            } else {
                writeRegister(written);
            }
        }
    }

    /// The time is the host's when it is restored, and further ahead of it by what it was.
    @Override
    public synchronized void persist(StateFields state) {
        state.fill("ram", ram);
        index = state.number("index", index, 0, SIZE - 1);
        flags = state.number("flags", flags, 0, EVENTS);
        ahead =
                Duration.ofSeconds(
                        state.number("aheadSeconds", ahead.getSeconds(), -MOST_AHEAD, MOST_AHEAD),
                        state.number("aheadNanos", ahead.getNano(), 0, NANOS_PER_SECOND - 1));
        seen =
                Instant.ofEpochSecond(
                        state.number("seenSecond", seen.getEpochSecond(), -MOST_AHEAD, MOST_AHEAD),
                        state.number("seenNano", seen.getNano(), 0, NANOS_PER_SECOND - 1));
    }

    @Override
    public synchronized void restored() {
        interrupt = false;
        look();
        update();
    }

    @Override
    public String toString() {
        return "CMOS RTC";
    }

    private int readRegister() {
        return switch (index) {
            case A -> ram[A] | (updateInProgress() ? A_UPDATE_IN_PROGRESS : 0);
            case C -> readFlags();
            case D -> D_VALID;
            default ->
                    RtcCalendar.isTime(index) && !stopped()
                            ? RtcCalendar.read(index, now().getEpochSecond(), ram[B])
                            : Byte.toUnsignedInt(ram[index]);
        };
    }

    private int readFlags() {
        look();
        int value = flags | (interrupt ? C_INTERRUPT : 0);
        flags = 0;
        update();
        return value;
    }

    private void writeRegister(int value) {
        switch (index) {
            case A -> writeA(value & ~A_UPDATE_IN_PROGRESS);
            case B -> writeB(value);
            case C, D -> {} // read-only
            default -> {
                if (RtcCalendar.isTime(index) && !stopped()) {
                    freeze();
                    ram[index] = (byte) value;
                    thaw();
                } else {
                    look();
                    ram[index] = (byte) value;
                }
            }
        }
        update();
    }

    private void writeA(int value) {
        boolean wasReset = dividerReset();
        boolean wasStopped = stopped();
        look();
        if (!wasStopped && isDividerReset(value)) {
            freeze();
        }
        ram[A] = (byte) value;
        if (wasReset && !dividerReset()) {
            long phase = NANOS_PER_SECOND - FIRST_UPDATE_NANOS;
            setNow(now().with(ChronoField.NANO_OF_SECOND, phase));
        }
        if (wasStopped && !stopped()) {
            thaw();
        }
    }

    private void writeB(int value) {
        boolean wasStopped = stopped();
        look();
        if (!wasStopped && (value & B_STOP) != 0) {
            freeze();
        }
        // stopping the clock switches its interrupt off (data sheet, "Register B")
        ram[B] = (byte) ((value & B_STOP) != 0 ? value & ~UPDATE : value);
        if (wasStopped && !stopped()) {
            thaw();
        }
    }

    /// Puts the time into the registers, where the guest changes it.
    private void freeze() {
        RtcCalendar.writeAll(ram, now().getEpochSecond());
    }

    /// Goes on from what the registers say; the part of the second goes on as it was.
    private void thaw() {
        setNow(Instant.ofEpochSecond(RtcCalendar.readAll(ram), nanoOfSecond(now())));
    }

    private Instant now() {
        return time.instant().plus(ahead);
    }

    private static int nanoOfSecond(Instant instant) {
        return instant.get(ChronoField.NANO_OF_SECOND);
    }

    private void setNow(Instant now) {
        ahead = Duration.between(time.instant(), now);
        seen = now;
    }

    private boolean stopped() {
        return (ram[B] & B_STOP) != 0 || dividerReset();
    }

    private boolean dividerReset() {
        return isDividerReset(ram[A]);
    }

    private static boolean isDividerReset(int a) {
        return (a & A_DIVIDER_RESET) == A_DIVIDER_RESET;
    }

    private boolean updateInProgress() {
        return !stopped() && nanoOfSecond(now()) >= NANOS_PER_SECOND - UPDATE_WARNING_NANOS;
    }

    private synchronized void timerExpired() {
        look();
        update();
    }

    /// Sets the flags of what has happened since the last look.
    private void look() {
        Instant now = now();
        if (now.isAfter(seen)) {
            if (!stopped() && now.getEpochSecond() > seen.getEpochSecond()) {
                flags |= UPDATE;
                flags |= nextAlarm() <= now.getEpochSecond() ? ALARM : 0;
            }
            if (periodNanos() > 0 && nextPeriod().compareTo(now) <= 0) {
                flags |= PERIODIC;
            }
        }
        seen = now;
    }

    /// Sets the interrupt, and the timer if there will be one.
    private void update() {
        boolean wanted = (flags & ram[B] & EVENTS) != 0;
        if (wanted && !interrupt) {
            line.pulse();
        }
        interrupt = wanted;
        long delay = wanted ? Long.MAX_VALUE : nanosToNextEvent();
        if (delay == Long.MAX_VALUE) {
            timer.cancel();
        } else {
            timer.set(Math.min(delay, LONGEST_WAIT_NANOS), onTimer);
        }
    }

    /// How long until something happens that is enabled; {@link Long#MAX_VALUE} for never.
    private long nanosToNextEvent() {
        int enabled = ram[B] & EVENTS;
        long delay = Long.MAX_VALUE;
        if ((enabled & PERIODIC) != 0 && periodNanos() > 0) {
            delay = Math.min(delay, Duration.between(seen, nextPeriod()).toNanos());
        }
        if ((enabled & UPDATE) != 0 && !stopped()) {
            delay = Math.min(delay, NANOS_PER_SECOND - nanoOfSecond(seen));
        }
        if ((enabled & ALARM) != 0 && !stopped()) {
            long alarm = nextAlarm();
            if (alarm != Long.MAX_VALUE) {
                long seconds = alarm - seen.getEpochSecond();
                delay = Math.min(delay, seconds * NANOS_PER_SECOND - nanoOfSecond(seen));
            }
        }
        return delay;
    }

    /// The second, after the one last seen, at which the alarm goes.
    private long nextAlarm() {
        return RtcCalendar.nextAlarm(ram, seen.getEpochSecond());
    }

    /// 0 if there is no periodic event.
    private long periodNanos() {
        int rate = ram[A] & 0xf;
        if (rate == 0 || dividerReset()) {
            return 0;
        }
        int shift =
                rate < 3 ? rate + 6 : rate - 1; // data sheet, table 5: 1 and 2 are 256 and 128 Hz
        return (NANOS_PER_SECOND << shift) / 32768;
    }

    /// The first end of a period after what was last seen.
    private Instant nextPeriod() {
        long period = periodNanos();
        return seen.plusNanos(period - nanoOfSecond(seen) % period);
    }
}
