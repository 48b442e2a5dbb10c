package org.kaval.devices.platform;

import java.util.function.IntConsumer;
import org.kaval.devices.Device;
import org.kaval.memory.GuestRange;

/// A port by which a test guest ends its machine with an exit code, usually at 0xf4.
///
/// | offset | read | write                           |
/// |-------:|------|---------------------------------|
/// |      0 | 0xff | ends the machine with this code |
///
/// Any thread.
public final class DebugExit implements Device {
    /// Where test kernels expect it.
    public static final GuestRange PORTS = new GuestRange(0xf4, 4);

    private final IntConsumer exit;

    /// @param exit is told the code, on the vCPU's thread; the bits beyond the access are 0
    public DebugExit(IntConsumer exit) {
        this.exit = exit;
    }

    @Override
    public long read(long offset, int size) {
        return -1;
    }

    @Override
    public void write(long offset, int size, long value) {
        if (offset == 0) {
            exit.accept((int) value);
        }
    }

    @Override
    public String toString() {
        return "debug exit";
    }
}
