package org.kaval.devices.pci;

import org.kaval.devices.Device;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateFields;
import org.kaval.memory.GuestRange;

/// PCI configuration mechanism #1 (PCI 3.0 §3.2.2.3.2), and the reset control register that lies
/// within its ports (Intel ICH9 data sheet §13.7.5, `RST_CNT`).
///
/// | offset | size | read                    | write                                       |
/// |-------:|-----:|-------------------------|---------------------------------------------|
/// |      0 |    4 | address                 | bus (16-23), device (11-15), function (8-10), register (2-7); bit 31 enables |
/// |      1 |    1 | reset control           | bit 2 from 0 to 1 restarts the machine      |
/// |    4-7 | 1-4  | the register            | the register                                |
///
/// Other accesses read as ones and are ignored: the address is there for 32 bits only.
///
/// Any thread (guarded by this). As on a PC, two vCPUs that set the address at once disturb each
/// other.
public final class PciConfigPorts implements Device, Persistent {
    /// Where it is.
    public static final GuestRange PORTS = new GuestRange(0xcf8, 8);

    /// The reset control register.
    public static final GuestRange RESET_CONTROL = new GuestRange(0xcf9, 1);

    /// What restarts the machine when it is written to {@link #RESET_CONTROL}: `SYS_RST`,
    /// `RST_CPU`.
    public static final int RESET = 6;

    private static final int ADDRESS = 0;
    private static final int RESET_OFFSET = 1;
    private static final int DATA = 4;
    private static final int ENABLE = 1 << 31;
    private static final int ADDRESS_BITS = 0x80ff_fffc;
    private static final int RST_CPU = 1 << 2;
    private static final int RESET_BITS = 0xe; // FULL_RST, RST_CPU, SYS_RST

    private final PciBus bus;
    private final Runnable restart;
    private int address;
    private int resetControl;

    /// @param restart is called on the vCPU's thread
    public PciConfigPorts(PciBus bus, Runnable restart) {
        this.bus = bus;
        this.restart = restart;
    }

    @Override
    public long read(long offset, int size) {
        int current = address(offset);
        if (current != 0) {
            return bus.read(busOf(current), functionOf(current), register(current, offset), size);
        }
        return readOwn(offset, size);
    }

    @Override
    public void write(long offset, int size, long value) {
        int current = address(offset);
        if (current != 0) {
            int register = register(current, offset);
            bus.write(busOf(current), functionOf(current), register, size, value);
        } else if (writeOwn(offset, size, (int) value)) {
            restart.run();
        }
    }

    @Override
    public synchronized void persist(StateFields state) {
        address = (int) state.number("address", Integer.toUnsignedLong(address), 0, 0xffff_ffffL);
        address &= ADDRESS_BITS;
        resetControl = state.number("resetControl", resetControl, 0, RESET_BITS);
    }

    @Override
    public String toString() {
        return "PCI configuration ports";
    }

    /// The address, if this is an access to configuration space; else 0.
    private synchronized int address(long offset) {
        return offset >= DATA && (address & ENABLE) != 0 ? address : 0;
    }

    private synchronized long readOwn(long offset, int size) {
        if (offset == ADDRESS && size == Integer.BYTES) {
            return Integer.toUnsignedLong(address);
        }
        return offset == RESET_OFFSET && size == 1 ? resetControl : -1;
    }

    /// @return whether that restarts the machine
    private synchronized boolean writeOwn(long offset, int size, int value) {
        if (offset == ADDRESS && size == Integer.BYTES) {
            address = value & ADDRESS_BITS;
        } else if (offset == RESET_OFFSET && size == 1) {
            boolean reset = (value & ~resetControl & RST_CPU) != 0;
            resetControl = value & RESET_BITS;
            return reset;
        }
        return false;
    }

    private static int busOf(int address) {
        return address >> 16 & 0xff;
    }

    private static int functionOf(int address) {
        return address >> 8 & 0xff;
    }

    private static int register(int address, long offset) {
        return (address & 0xfc) + (int) offset - DATA;
    }
}
