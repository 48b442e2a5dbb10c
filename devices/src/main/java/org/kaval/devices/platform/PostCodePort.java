package org.kaval.devices.platform;

import org.kaval.devices.Device;
import org.kaval.memory.GuestRange;

/// Port 0x80, to which firmware writes how far it has come (power-on self-test), and where Linux
/// writes to pass a microsecond (`io_delay`).
///
/// | offset | read               | write        |
/// |-------:|--------------------|--------------|
/// |      0 | what was last written | a POST code |
///
/// Any thread.
public final class PostCodePort implements Device {
    /// Where it is.
    public static final GuestRange PORTS = new GuestRange(0x80, 1);

    private volatile int last;

    /// A port to which nothing has been written.
    public PostCodePort() {}

    /// What was last written, 0 to 255; 0 if nothing was.
    public int last() {
        return last;
    }

    @Override
    public long read(long offset, int size) {
        return last;
    }

    @Override
    public void write(long offset, int size, long value) {
        last = (int) value & 0xff;
    }

    @Override
    public String toString() {
        return "POST code port";
    }
}
