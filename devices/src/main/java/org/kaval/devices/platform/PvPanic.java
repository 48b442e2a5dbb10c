package org.kaval.devices.platform;

import org.kaval.devices.Device;
import org.kaval.memory.GuestRange;

/// A port by which a guest's kernel says that it has panicked (QEMU, "pvpanic device").
///
/// | offset | read           | write                                                        |
/// |-------:|----------------|--------------------------------------------------------------|
/// |      0 | bits it knows  | bit 0: it has panicked; bit 1: so, and takes care of it itself |
///
/// Any thread.
public final class PvPanic implements Device {
    /// Where drivers that do not read ACPI expect it.
    public static final GuestRange PORTS = new GuestRange(0x505, 1);

    private static final int PANICKED = 1;
    private static final int CRASH_LOADED = 1 << 1;

    private final Runnable panicked;

    /// @param panicked is called on the vCPU's thread, each time that the guest says so
    public PvPanic(Runnable panicked) {
        this.panicked = panicked;
    }

    @Override
    public long read(long offset, int size) {
        return PANICKED | CRASH_LOADED;
    }

    @Override
    public void write(long offset, int size, long value) {
        if ((value & PANICKED) != 0) {
            panicked.run();
        }
    }

    @Override
    public String toString() {
        return "panic notifier";
    }
}
