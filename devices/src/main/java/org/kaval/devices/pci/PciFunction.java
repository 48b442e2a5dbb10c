package org.kaval.devices.pci;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Device;
import org.kaval.devices.LevelLine;
import org.kaval.devices.StateFields;
import org.kaval.memory.GuestRange;

/// A function's configuration space (PCI 3.0 §6.1, header type 0): 4 KiB, of which a guest can
/// write what masks allow.
///
/// | offset    | size | register                | write                                        |
/// |----------:|-----:|-------------------------|----------------------------------------------|
/// |      0x00 |    4 | vendor, device          | ignored                                      |
/// |      0x04 |    2 | command                 | ports, memory, bus master, parity, SERR, INTx off |
/// |      0x06 |    2 | status                  | 1 clears an error bit; bit 3 is INTx         |
/// |      0x08 |    4 | revision, class         | ignored                                      |
/// |      0x0c |    1 | cache line size         | kept                                         |
/// |      0x0e |    1 | header type             | ignored                                      |
/// | 0x10-0x27 |  4×6 | base addresses          | the address bits                             |
/// |      0x2c |    4 | subsystem               | ignored                                      |
/// |      0x34 |    1 | first capability        | ignored                                      |
/// |      0x3c |    1 | interrupt line          | kept                                         |
/// |      0x3d |    1 | interrupt pin           | ignored                                      |
/// | 0x40-0xff |      | capabilities            | as each has it                               |
///
/// A device describes itself by one of these, on the building thread, and adds it to a {@link
/// PciBus}. Registers are for any thread then (guarded by this).
public final class PciFunction {
    /// How much configuration space a function has.
    public static final int SIZE = 4096;

    private static final int VENDOR = 0x00;
    private static final int COMMAND = 0x04;
    private static final int STATUS = 0x06;
    private static final int REVISION = 0x08;
    private static final int CACHE_LINE = 0x0c;
    private static final int HEADER_TYPE = 0x0e;
    private static final int BARS = 0x10;
    private static final int SUBSYSTEM = 0x2c;
    private static final int CAPABILITIES = 0x34;
    private static final int INTERRUPT_LINE = 0x3c;
    private static final int INTERRUPT_PIN = 0x3d;
    private static final int FIRST_CAPABILITY = 0x40;
    private static final int END_OF_CAPABILITIES = 0x100;

    private static final int COMMAND_PORTS = 1;
    private static final int COMMAND_MEMORY = 1 << 1;
    private static final int COMMAND_MASTER = 1 << 2;
    private static final int COMMAND_PARITY = 1 << 6;
    private static final int COMMAND_SERR = 1 << 8;
    private static final int COMMAND_INTX_OFF = 1 << 10;
    private static final int STATUS_INTX = 1 << 3;
    private static final int STATUS_CAPABILITIES = 1 << 4;
    private static final int STATUS_ERRORS = 0xf900;
    private static final int MULTI_FUNCTION = 1 << 7;
    private static final int BAR_COUNT = 6;
    private static final int PINS = 4;

    private final byte[] space = new byte[SIZE];
    private final byte[] writable = new byte[SIZE];
    private final byte[] clearable = new byte[SIZE];
    private final @Nullable PciBar[] bars = new PciBar[BAR_COUNT];
    private final @Nullable GuestRange[] placed = new GuestRange[BAR_COUNT];
    private final PciIdentity identity;
    private final List<Runnable> onWrite = new CopyOnWriteArrayList<>();
    private final List<Window> windows = new CopyOnWriteArrayList<>();
    private int nextCapability = FIRST_CAPABILITY;
    private int lastPointer = CAPABILITIES;
    private @Nullable Decoder decoder; // none until it is on a bus
    private LevelLine pin = LevelLine.NONE;
    private boolean interrupting;

    /// Registers that a device answers for itself.
    private record Window(int offset, int size, Device registers) {
        boolean holds(int at, int length) {
            return at >= offset && at + length <= offset + size;
        }
    }

    /// What makes a BAR answer: the bus that the function is on.
    interface Decoder {
        /// @return whether there is room for it
        boolean map(PciBar bar, GuestRange range);

        void unmap(PciBar bar, GuestRange range);
    }

    public PciFunction(PciIdentity identity) {
        this.identity = identity;
        put(VENDOR, 2, identity.vendor());
        put(VENDOR + 2, 2, identity.device());
        put(REVISION, 1, identity.revision());
        put(REVISION + 1, 3, identity.classCode());
        put(SUBSYSTEM, 2, identity.subsystemVendor());
        put(SUBSYSTEM + 2, 2, identity.subsystem());
        int commands = COMMAND_PORTS | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_PARITY;
        mask(writable, COMMAND, 2, commands | COMMAND_SERR | COMMAND_INTX_OFF);
        mask(clearable, STATUS, 2, STATUS_ERRORS);
        mask(writable, CACHE_LINE, 1, 0xff);
        mask(writable, INTERRUPT_LINE, 1, 0xff);
    }

    public PciIdentity identity() {
        return identity;
    }

    /// Gives it a range of registers.
    ///
    /// @param index which base address register: 0 to 5, and 0 to 4 for 64 bits, which take two
    public synchronized void addBar(int index, PciBar bar) {
        int registers = bar.kind().registers();
        if (index < 0 || index + registers > BAR_COUNT) {
            throw new IllegalArgumentException("no BAR: " + index);
        }
        for (int i = 0; i < index + registers; i++) {
            PciBar other = bars[i];
            if (other != null && i + other.kind().registers() > index) {
                throw new IllegalArgumentException("BAR %d has a range".formatted(index));
            }
        }
        bars[index] = bar;
        put(bar(index), 4, bar.kind().flags());
        mask(writable, bar(index), 4 * registers, -bar.size() & ~bar.kind().flagMask());
    }

    /// Adds a capability (PCI 3.0 §6.7).
    ///
    /// @param id its number
    /// @param body what follows the number and the pointer
    /// @param writableBits which bits of `body` a guest can write; as long
    /// @return where the capability is
    public synchronized int addCapability(int id, byte[] body, byte[] writableBits) {
        int size = (2 + body.length + 3) & ~3;
        if (writableBits.length != body.length || nextCapability + size > END_OF_CAPABILITIES) {
            throw new IllegalArgumentException("no room for capability 0x%x".formatted(id));
        }
        int offset = nextCapability;
        nextCapability += size;
        put(lastPointer, 1, offset);
        lastPointer = offset + 1;
        put(offset, 1, id);
        System.arraycopy(body, 0, space, offset + 2, body.length);
        System.arraycopy(writableBits, 0, writable, offset + 2, body.length);
        put(STATUS, 2, get(STATUS, 2) | STATUS_CAPABILITIES);
        return offset;
    }

    /// Sets a register that only the device writes, or that a guest has written.
    ///
    /// @param size 1 to 8 bytes
    public synchronized void setRegister(int offset, int size, long value) {
        put(offset, size, value);
    }

    /// What a register has.
    ///
    /// @param size 1 to 8 bytes
    public synchronized long register(int offset, int size) {
        return get(offset, size);
    }

    /// Calls `action`, too, after each write of the guest to the configuration space, on the vCPU's
    /// thread and without a lock.
    public void onWrite(Runnable action) {
        onWrite.add(action);
    }

    /// Lets `registers` answer for a part of the configuration space, on the vCPU's thread and
    /// without a lock.
    public void answer(int offset, int size, Device registers) {
        windows.add(new Window(offset, size, registers));
    }

    /// Gives it an interrupt pin, for a device that has no MSI or whose driver does not use it. It
    /// is high as long as the device holds it up and the guest has not switched it off.
    ///
    /// @param number 1 (INTA) to 4 (INTD)
    public synchronized LevelLine interruptPin(int number) {
        if (number < 1 || number > PINS) {
            throw new IllegalArgumentException("no interrupt pin: " + number);
        }
        put(INTERRUPT_PIN, 1, number);
        return this::interrupt;
    }

    /// Reads the configuration space, as a guest does.
    ///
    /// @param offset with `size` below {@link #SIZE}
    long read(int offset, int size) {
        for (Window window : windows) {
            if (window.holds(offset, size)) {
                return window.registers.read(offset - window.offset, size);
            }
        }
        return register(offset, size);
    }

    /// Writes it, as a guest does.
    void write(int offset, int size, long value) {
        for (Window window : windows) {
            if (window.holds(offset, size)) {
                window.registers.write(offset - window.offset, size, value);
                return;
            }
        }
        writeRegisters(offset, size, value);
        onWrite.forEach(Runnable::run);
    }

    private synchronized void writeRegisters(int offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            int at = offset + i;
            int written = (int) (value >>> (i * Byte.SIZE));
            int kept = space[at] & ~writable[at] & ~(written & clearable[at]);
            space[at] = (byte) (kept | (written & writable[at]));
        }
        if (offset < BARS + 4 * BAR_COUNT && offset + size > COMMAND) {
            decode();
            update();
        }
    }

    /// Puts it onto a bus.
    ///
    /// @param line where its interrupt pin leads
    /// @param addresses at which its BARs are at first; 0 where there is none
    synchronized void attach(Decoder bus, LevelLine line, long[] addresses) {
        if (decoder != null) {
            throw new IllegalStateException("%s is on a bus".formatted(this));
        }
        decoder = bus;
        pin = line;
        for (int i = 0; i < BAR_COUNT; i++) {
            PciBar bar = bars[i];
            if (bar != null) {
                put(bar(i), 4 * bar.kind().registers(), addresses[i] | bar.kind().flags());
            }
        }
    }

    /// Takes it off its bus.
    synchronized void detach() {
        Decoder bus = decoder;
        for (int i = 0; i < BAR_COUNT && bus != null; i++) {
            PciBar bar = bars[i];
            if (bar != null) {
                place(bus, i, bar, null);
            }
        }
        pin.set(false);
        pin = LevelLine.NONE;
        decoder = null;
    }

    /// On its bus. Restored, its BARs answer where they did.
    void persist(StateFields state) {
        synchronized (this) {
            state.same("identity", get(VENDOR, 4), toString());
            state.fill("space", space);
            put(VENDOR, 2, identity.vendor());
            put(VENDOR + 2, 2, identity.device());
            interrupting = state.flag("interrupting", interrupting);
            if (!state.isRestoring()) {
                return;
            }
            decode();
            update();
        }
        onWrite.forEach(Runnable::run);
    }

    synchronized @Nullable PciBar[] bars() {
        return bars.clone();
    }

    /// Which pin it has, 1 to 4; 0 for none.
    synchronized int pinNumber() {
        return space[INTERRUPT_PIN];
    }

    synchronized void setMultiFunction() {
        space[HEADER_TYPE] |= (byte) MULTI_FUNCTION;
    }

    @Override
    public String toString() {
        return "PCI function %04x:%04x".formatted(identity.vendor(), identity.device());
    }

    private synchronized void interrupt(boolean high) {
        interrupting = high;
        update();
    }

    private void update() {
        long status = get(STATUS, 2);
        put(STATUS, 2, interrupting ? status | STATUS_INTX : status & ~STATUS_INTX);
        pin.set(interrupting && (get(COMMAND, 2) & COMMAND_INTX_OFF) == 0);
    }

    /// Moves the BARs to where the registers say.
    private void decode() {
        Decoder bus = decoder;
        if (bus == null) {
            return;
        }
        long command = get(COMMAND, 2);
        for (int i = 0; i < BAR_COUNT; i++) {
            PciBar bar = bars[i];
            if (bar != null) {
                int needed = bar.kind() == PciBar.Kind.PORTS ? COMMAND_PORTS : COMMAND_MEMORY;
                place(bus, i, bar, (command & needed) != 0 ? range(i, bar) : null);
            }
        }
    }

    private void place(Decoder bus, int index, PciBar bar, @Nullable GuestRange wanted) {
        GuestRange now = placed[index];
        if (now != null && !now.equals(wanted)) {
            bus.unmap(bar, now);
            bar.placement().removed(now);
            placed[index] = null;
            now = null;
        }
        if (now == null && wanted != null && bus.map(bar, wanted)) {
            placed[index] = wanted;
            bar.placement().placed(wanted);
        }
    }

    private @Nullable GuestRange range(int index, PciBar bar) {
        long register = get(bar(index), 4 * bar.kind().registers());
        long address = register & ~bar.kind().flagMask();
        return address < 0 || address > Long.MAX_VALUE - bar.size()
                ? null
                : new GuestRange(address, bar.size());
    }

    private static int bar(int index) {
        return BARS + 4 * index;
    }

    private long get(int offset, int size) {
        long value = 0;
        for (int i = 0; i < size; i++) {
            value |= (space[offset + i] & 0xffL) << (i * Byte.SIZE);
        }
        return value;
    }

    private void put(int offset, int size, long value) {
        mask(space, offset, size, value);
    }

    private static void mask(byte[] bytes, int offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            bytes[offset + i] = (byte) (value >>> (i * Byte.SIZE));
        }
    }
}
