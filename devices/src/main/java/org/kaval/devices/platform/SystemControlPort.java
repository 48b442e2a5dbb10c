package org.kaval.devices.platform;

import org.kaval.devices.Device;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateFields;
import org.kaval.memory.GuestRange;

/// System control port A of the PS/2 and since (Intel ICH9 data sheet §13.7.4, `PORT92`).
///
/// | bit | name           | read         | write                            |
/// |----:|----------------|--------------|----------------------------------|
/// |   0 | INIT_NOW       | as written   | 0 to 1 restarts the machine      |
/// |   1 | ALT_A20_GATE   | as written   | kept; address line 20 is always on |
/// | 2-7 |                | 0            | ignored                          |
///
/// Any thread (guarded by this).
public final class SystemControlPort implements Device, Persistent {
    /// Where it is.
    public static final GuestRange PORTS = new GuestRange(0x92, 1);

    private static final int INIT_NOW = 1;
    private static final int A20 = 1 << 1;

    private final Runnable restart;
    private int register = A20;

    /// @param restart is called on the vCPU's thread
    public SystemControlPort(Runnable restart) {
        this.restart = restart;
    }

    @Override
    public synchronized long read(long offset, int size) {
        return register;
    }

    @Override
    public void write(long offset, int size, long value) {
        if (change((int) value & (INIT_NOW | A20))) {
            restart.run();
        }
    }

    @Override
    public synchronized void persist(StateFields state) {
        register = state.number("register", register, 0, INIT_NOW | A20);
    }

    @Override
    public String toString() {
        return "system control port A";
    }

    /// @return whether that starts the machine anew
    private synchronized boolean change(int value) {
        boolean init = (value & ~register & INIT_NOW) != 0;
        register = value;
        return init;
    }
}
