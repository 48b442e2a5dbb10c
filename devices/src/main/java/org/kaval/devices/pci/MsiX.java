package org.kaval.devices.pci;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Bus;
import org.kaval.devices.Device;
import org.kaval.devices.MessageInterrupts;
import org.kaval.devices.MessageInterrupts.MessageInterrupt;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateFields;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;

/// MSI-X (PCI 3.0 §6.8.2): a table of interrupts that are messages, each of which can be masked,
/// and the array of those that wait for that to end. A function has them somewhere in one of its
/// BARs.
///
/// | offset                | size | register                                        | write   |
/// |----------------------:|-----:|-------------------------------------------------|---------|
/// | 16 × vector           |    8 | address of the message                          | kept    |
/// | 16 × vector + 8       |    4 | data of the message                             | kept    |
/// | 16 × vector + 12      |    4 | bit 0: masked                                   | bit 0   |
/// | 16 × vectors + vector / 8 | 8 | one bit per vector that is pending             | ignored |
///
/// Accesses are of four or eight bytes, aligned; others read as ones and are ignored.
///
/// Any thread: each vector has its lock.
public final class MsiX implements Device, Persistent, AutoCloseable {
    private static final int CAPABILITY = 0x11;
    private static final int MAX_VECTORS = 2048;
    private static final int ENTRY = 16;
    private static final int ADDRESS_HIGH = 4;
    private static final int DATA = 8;
    private static final int CONTROL = 12;
    private static final int MASKED = 1;
    private static final int ENABLE = 1 << 15;
    private static final int MASK_ALL = 1 << 14;

    private final List<Vector> vectors = new ArrayList<>();
    private volatile boolean enabled;
    private volatile boolean allMasked;
    private IntConsumer maskListener = _ -> {};

    /// An entry of the table. Guarded by itself.
    private static final class Vector {
        private final MessageInterrupt interrupt;
        private long address;
        private int data;
        private boolean masked = true;
        private boolean pending;
        private boolean changed;

        Vector(MessageInterrupt interrupt) {
            this.interrupt = interrupt;
        }
    }

    private MsiX() {}

    /// Opens `count` interrupts.
    ///
    /// @param name for messages
    public static MsiX open(MessageInterrupts source, String name, int count)
            throws ErrnoException {
        if (count < 1 || count > MAX_VECTORS) {
            throw new IllegalArgumentException("no count of MSI-X vectors: " + count);
        }
        var msix = new MsiX();
        boolean done = false;
        try {
            for (int i = 0; i < count; i++) {
                msix.vectors.add(new Vector(source.open("%s interrupt %d".formatted(name, i))));
            }
            done = true;
            return msix;
        } finally {
            if (!done) {
                msix.close();
            }
        }
    }

    /// How many vectors there are.
    public int count() {
        return vectors.size();
    }

    /// How many bytes of a BAR it takes: table and pending bits.
    public long size() {
        return pendingOffset() + (count() + Long.SIZE - 1L) / Long.SIZE * Long.BYTES;
    }

    private long pendingOffset() {
        return (long) ENTRY * count();
    }

    /// Adds the capability to `function`.
    ///
    /// @param bar in which of its BARs these registers are
    /// @param offset where in it, a multiple of 8
    public void addTo(PciFunction function, int bar, int offset) {
        byte[] body = new byte[10];
        byte[] writable = new byte[body.length];
        putLe(body, 0, 2, count() - 1);
        putLe(body, 2, 4, offset | bar);
        putLe(body, 6, 4, (offset + (int) pendingOffset()) | bar);
        putLe(writable, 0, 2, ENABLE | MASK_ALL);
        int capability = function.addCapability(CAPABILITY, body, writable);
        function.onWrite(() -> control((int) function.register(capability + 2, 2)));
    }

    private static void putLe(byte[] bytes, int offset, int size, int value) {
        for (int i = 0; i < size; i++) {
            bytes[offset + i] = (byte) (value >>> (i * Byte.SIZE));
        }
    }

    /// Whether the driver uses MSI-X; else the function has its pin only.
    public boolean isEnabled() {
        return enabled;
    }

    /// Sends the message of `vector`, or keeps it until it is no longer masked.
    public void signal(int vector) {
        Vector its = vectors.get(vector);
        // the lock keeps a message from going out after the guest has seen its mask set
        synchronized (its) {
            its.pending = true;
            release(its);
        }
    }

    /// What sends the message of `vector` when it is signalled, for who does not {@link #signal}
    /// it; null while it may not go out.
    public @Nullable EventFd direct(int vector) {
        Vector its = vectors.get(vector);
        synchronized (its) {
            return isOpen(its) ? its.interrupt.event() : null;
        }
    }

    /// Says who is told of a vector whose {@link #direct} may have changed: before the driver goes
    /// on, by its thread. Once, before the driver is there.
    public void onMask(IntConsumer listener) {
        maskListener = listener;
    }

    /// Forgets what is pending, as a device does that is reset.
    public void clearPending() {
        for (Vector vector : vectors) {
            synchronized (vector) {
                vector.pending = false;
            }
        }
    }

    private void control(int value) {
        boolean wasOpen = enabled && !allMasked;
        enabled = (value & ENABLE) != 0;
        allMasked = (value & MASK_ALL) != 0;
        for (Vector vector : vectors) {
            synchronized (vector) {
                release(vector);
            }
        }
        if (wasOpen != (enabled && !allMasked)) {
            for (int i = 0; i < count(); i++) {
                maskListener.accept(i);
            }
        }
    }

    private boolean isOpen(Vector vector) {
        return enabled && !allMasked && !vector.masked;
    }

    /// Sends what is pending, if it may go. With the vector's lock.
    private void release(Vector vector) {
        if (!isOpen(vector)) {
            return;
        }
        if (vector.changed) {
            vector.changed = false;
            vector.interrupt.route(vector.address, vector.data);
        }
        if (vector.pending) {
            vector.pending = false;
            vector.interrupt.pulse();
        }
    }

    @Override
    public long read(long offset, int size) {
        if (!fits(offset, size)) {
            return Bus.NOBODY;
        }
        long low = read32(offset);
        return size == Long.BYTES ? low | (read32(offset + Integer.BYTES) << Integer.SIZE) : low;
    }

    @Override
    public void write(long offset, int size, long value) {
        if (!fits(offset, size) || offset >= pendingOffset()) {
            return;
        }
        int index = (int) (offset / ENTRY);
        Vector vector = vectors.get(index);
        boolean changed;
        synchronized (vector) {
            boolean wasMasked = vector.masked;
            set(vector, (int) (offset % ENTRY), (int) value);
            if (size == Long.BYTES) {
                set(vector, (int) (offset % ENTRY) + Integer.BYTES, (int) (value >>> Integer.SIZE));
            }
            release(vector);
            changed = wasMasked != vector.masked;
        }
        if (changed) {
            maskListener.accept(index);
        }
    }

    /// The table; whether it is in use is in the function's configuration space, which is restored
    /// before or after.
    @Override
    public void persist(StateFields state) {
        for (int i = 0; i < count(); i++) {
            Vector vector = vectors.get(i);
            StateFields fields = state.part(Integer.toString(i));
            synchronized (vector) {
                vector.address = fields.number("address", vector.address);
                vector.data =
                        fields.number("data", vector.data, Integer.MIN_VALUE, Integer.MAX_VALUE);
                vector.masked = fields.flag("masked", vector.masked);
                vector.pending = fields.flag("pending", vector.pending);
                if (state.isRestoring()) {
                    vector.changed = true;
                    release(vector);
                }
            }
        }
    }

    private boolean fits(long offset, int size) {
        return (size == Integer.BYTES || size == Long.BYTES)
                && offset % size == 0
                && offset + size <= size();
    }

    private long read32(long offset) {
        if (offset >= pendingOffset()) {
            return pendingBits((int) (offset - pendingOffset()) * Byte.SIZE);
        }
        Vector vector = vectors.get((int) (offset / ENTRY));
        synchronized (vector) {
            return switch ((int) (offset % ENTRY)) {
                case 0 -> vector.address & 0xffff_ffffL;
                case ADDRESS_HIGH -> vector.address >>> Integer.SIZE;
                case DATA -> Integer.toUnsignedLong(vector.data);
                default -> vector.masked ? MASKED : 0;
            };
        }
    }

    private long pendingBits(int first) {
        long bits = 0;
        for (int i = first; i < Math.min(first + Integer.SIZE, count()); i++) {
            Vector vector = vectors.get(i);
            synchronized (vector) {
                bits |= vector.pending ? 1L << (i - first) : 0;
            }
        }
        return bits;
    }

    private static void set(Vector vector, int register, int value) {
        long unsigned = Integer.toUnsignedLong(value);
        switch (register) {
            case 0 -> vector.address = (vector.address & ~0xffff_ffffL) | unsigned;
            case ADDRESS_HIGH ->
                    vector.address = (vector.address & 0xffff_ffffL) | (unsigned << Integer.SIZE);
            case DATA -> vector.data = value;
            default -> vector.masked = (value & MASKED) != 0;
        }
        vector.changed |= register != CONTROL;
    }

    /// What signals must have ended.
    @Override
    public void close() {
        vectors.forEach(vector -> vector.interrupt.close());
    }
}
