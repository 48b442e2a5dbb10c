package org.kaval.devices.platform;

import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import org.kaval.devices.Device;
import org.kaval.devices.DeviceTimer;
import org.kaval.devices.LevelLine;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateFields;
import org.kaval.memory.GuestRange;

/// The fixed hardware of ACPI (ACPI 6.5 §4.8.3): power button, power-off and the power management
/// timer, in a block of twelve ports. The machine is always in ACPI mode.
///
/// | offset | register   | read                     | write                            |
/// |-------:|------------|--------------------------|----------------------------------|
/// |    0-1 | `PM1_STS`  | what has happened        | 1 clears a bit                   |
/// |    2-3 | `PM1_EN`   | what raises the SCI      | the same                         |
/// |    4-5 | `PM1_CNT`  | SCI_EN (bit 0)           | SLP_TYP (10-12), SLP_EN (13): {@link #SLP_TYP_S5} is power-off |
/// |    6-7 |            | 0                        | ignored                          |
/// |   8-11 | `PM_TMR`   | 32 bits at 3.579545 MHz  | ignored                          |
///
/// `PM1_STS` and `PM1_EN` have bit 0, the timer's top bit has changed, and bit 8, the power button
/// was pressed. `PM1_EN` also keeps bits 5 (global lock) and 10 (real-time clock), as a system that
/// enables them reads them back; neither ever happens. The system control interrupt (SCI) is high
/// while a bit is set in both.
///
/// Any thread (guarded by this).
public final class AcpiPm implements Device, Persistent {
    /// Where it is.
    public static final GuestRange PORTS = new GuestRange(0x600, 12);

    /// `PM1_STS` and `PM1_EN`, 4 bytes.
    public static final GuestRange EVENT_BLOCK = new GuestRange(0x600, 4);

    /// `PM1_CNT`, 2 bytes.
    public static final GuestRange CONTROL_BLOCK = new GuestRange(0x604, 2);

    /// `PM_TMR`, 4 bytes.
    public static final GuestRange TIMER_BLOCK = new GuestRange(0x608, 4);

    /// The interrupt of the SCI.
    public static final int SCI = 9;

    /// What the guest writes to SLP_TYP to power off; ACPI leaves the value to the machine.
    public static final int SLP_TYP_S5 = 5;

    private static final int TMR = 1;
    private static final int PWRBTN = 1 << 8;
    private static final int GBL = 1 << 5;
    private static final int RTC = 1 << 10;
    private static final int ENABLES = TMR | GBL | PWRBTN | RTC;

    private static final int SCI_EN = 1;
    private static final int SLP_TYP_SHIFT = 10;
    private static final int SLP_TYP_MASK = 7;
    private static final int SLP_EN = 1 << 13;

    private static final long TIMER_HERTZ = 3_579_545;
    private static final int TIMER_TOP_BIT = 31;
    private static final long NANOS_PER_SECOND = TimeUnit.SECONDS.toNanos(1);

    /// 146 years.
    private static final long MOST_NANOS = Long.MAX_VALUE / 2;

    private final LongSupplier nanoTime;
    private final DeviceTimer timer;
    private final LevelLine sci;
    private final Runnable powerOff;
    private final Runnable onTimer = this::timerExpired;
    private long start;
    private int status;
    private int enable;
    private long halfTurns; // of the timer, when its top bit was last looked at

    /// @param nanoTime a monotonic clock in nanoseconds
    /// @param timer for this device alone
    /// @param sci the line {@link #SCI}
    /// @param powerOff is called on the vCPU's thread
    public AcpiPm(LongSupplier nanoTime, DeviceTimer timer, LevelLine sci, Runnable powerOff) {
        this.nanoTime = nanoTime;
        this.timer = timer;
        this.sci = sci;
        this.powerOff = powerOff;
        this.start = nanoTime.getAsLong();
    }

    /// Presses the power button, as a person would: the guest decides what to do about it.
    ///
    /// @return whether it raises an interrupt; if not, the guest sees it when it looks
    public synchronized boolean powerButton() {
        status |= PWRBTN;
        update();
        return (enable & PWRBTN) != 0;
    }

    @Override
    public synchronized long read(long offset, int size) {
        long value = 0;
        for (int i = 0; i < size; i++) {
            int at = (int) offset + i;
            value |= (registers(at & ~3) >>> ((at & 3) * Byte.SIZE) & 0xff) << (i * Byte.SIZE);
        }
        return value;
    }

    @Override
    public void write(long offset, int size, long value) {
        if (writeRegisters((int) offset, size, value)) {
            powerOff.run();
        }
    }

    /// The timer goes on as if it had never stood still.
    @Override
    public synchronized void persist(StateFields state) {
        status = state.number("status", status, 0, 0xffff);
        enable = state.number("enable", enable, 0, ENABLES);
        halfTurns = state.number("halfTurns", halfTurns, 0, Long.MAX_VALUE >>> TIMER_TOP_BIT);
        long now = nanoTime.getAsLong();
        long age = state.number("ageNanos", now - start, 0, MOST_NANOS);
        start = state.isRestoring() ? now - age - state.elapsedNanos() : start;
    }

    @Override
    public synchronized void restored() {
        look();
        update();
    }

    @Override
    public String toString() {
        return "ACPI power management";
    }

    /// The four bytes at `offset`.
    private long registers(int offset) {
        return switch (offset) {
            case 0 -> {
                look();
                yield status | (long) enable << Short.SIZE;
            }
            case 4 -> SCI_EN;
            default -> ticks() & 0xffff_ffffL;
        };
    }

    /// @return whether that powers the machine off
    private synchronized boolean writeRegisters(int offset, int size, long value) {
        boolean off = false;
        look();
        for (int i = 0; i < size; i++) {
            int written = (int) (value >>> (i * Byte.SIZE)) & 0xff;
            switch (offset + i) {
                case 0 -> status &= ~written;
                case 1 -> status &= ~(written << Byte.SIZE);
                case 2 -> enable = ((enable & ~0xff) | written) & ENABLES;
                case 3 -> enable = ((enable & 0xff) | written << Byte.SIZE) & ENABLES;
                case 5 -> off |= isPowerOff(written << Byte.SIZE);
                default -> {} // read-only, or nothing that a machine that is always on could do
            }
        }
        update();
        return off;
    }

    private static boolean isPowerOff(int control) {
        return (control & SLP_EN) != 0 && (control >> SLP_TYP_SHIFT & SLP_TYP_MASK) == SLP_TYP_S5;
    }

    private synchronized void timerExpired() {
        look();
        update();
    }

    /// Notes whether the timer's top bit has changed.
    private void look() {
        long now = ticks() >>> TIMER_TOP_BIT;
        status |= now != halfTurns ? TMR : 0;
        halfTurns = now;
    }

    private void update() {
        sci.set((status & enable) != 0);
        if ((enable & ~status & TMR) != 0) {
            long remaining = ((halfTurns + 1) << TIMER_TOP_BIT) - ticks();
            timer.set(1 + remaining * NANOS_PER_SECOND / TIMER_HERTZ, onTimer);
        } else {
            timer.cancel();
        }
    }

    /// The timer, with more bits than the guest sees: 2⁶³ are 80,000 years.
    private long ticks() {
        long nanos = nanoTime.getAsLong() - start;
        return nanos / NANOS_PER_SECOND * TIMER_HERTZ
                + nanos % NANOS_PER_SECOND * TIMER_HERTZ / NANOS_PER_SECOND;
    }
}
