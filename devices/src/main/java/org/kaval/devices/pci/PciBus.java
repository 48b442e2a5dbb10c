package org.kaval.devices.pci;

import java.util.List;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Bus;
import org.kaval.devices.LevelLine;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateException;
import org.kaval.devices.StateFields;
import org.kaval.memory.GuestRange;

/// Bus 0 of a PCI segment, the only one so far: up to 32 devices of 8 functions, their
/// configuration space, and the addresses at which their BARs answer.
///
/// A BAR answers where the host bridge has a window, and where nothing else does; elsewhere it is
/// not there until the guest writes a better address. At first each has a place of its own, as if
/// firmware had given it, but the guest still has to switch it on.
///
/// Any thread. Functions may come and go while the guest runs; it is not told, and finds them when
/// it looks.
public final class PciBus implements Persistent {
    /// The lowest interrupt that a pin leads to; the IOAPIC has eight of them.
    public static final int FIRST_GSI = 16;

    private static final int GSIS = 8;
    private static final int DEVICES = 32;
    private static final int FUNCTIONS = 8;
    private static final int HIGHEST_FUNCTION = DEVICES * FUNCTIONS - 1;

    /// BARs that are no larger get an address below 4 GiB, which every system can reach.
    private static final long SMALL = 16 << 20;

    private final Windows ports;
    private final Windows memory;
    private final IntFunction<LevelLine> lines;
    private final AtomicReferenceArray<@Nullable PciFunction> functions =
            new AtomicReferenceArray<>(DEVICES * FUNCTIONS);
    private final PciFunction.Decoder decoder = new Decoding();
    private @Nullable Observer observer; // none unless somebody traces

    /// Is told of accesses to configuration space, after each, on the vCPU's thread.
    @FunctionalInterface
    public interface Observer {
        /// @param bus 0 to 255
        /// @param deviceFunction device × 8 + function
        /// @param offset in the function's space
        /// @param size 1 to 8 bytes
        /// @param value what was read or written
        void accessed(boolean write, int bus, int deviceFunction, int offset, int size, long value);
    }

    /// @param portWindows the ports that go to the bus, in ascending order; BARs are put into the
    ///   last at first, above those of ISA
    /// @param memoryWindows the addresses that do, in ascending order
    /// @param lines a new end of the interrupt line of that number, which others may share
    public PciBus(
            Bus ports,
            List<GuestRange> portWindows,
            Bus mmio,
            List<GuestRange> memoryWindows,
            IntFunction<LevelLine> lines) {
        this.ports = new Windows(ports, portWindows);
        this.memory = new Windows(mmio, memoryWindows);
        this.lines = lines;
    }

    /// The interrupt of a device's pin: neighbours have different ones.
    ///
    /// @param device 0 to 31
    /// @param pin 0 (INTA) to 3 (INTD)
    public static int gsi(int device, int pin) {
        return FIRST_GSI + (device + pin) % GSIS;
    }

    /// Adds a function: as the first of a device of its own, and once there are 32 devices, as a
    /// further one of those, but for device 0, the host bridge.
    ///
    /// @return where it is: device × 8 + number
    /// @throws IllegalArgumentException if there is no room for it or its BARs
    public synchronized int add(PciFunction function) {
        for (int number = 0; number < FUNCTIONS; number++) {
            for (int device = number == 0 ? 0 : 1; device < DEVICES; device++) {
                int index = device * FUNCTIONS + number;
                if (functions.get(index) == null) {
                    add(device, number, function);
                    return index;
                }
            }
        }
        throw new IllegalArgumentException("the PCI bus has no place left");
    }

    /// Adds a function in its place. A device has to have function 0.
    ///
    /// @param device 0 to 31
    /// @param number 0 to 7
    /// @throws IllegalArgumentException if there is one, or no room for its BARs
    public synchronized void add(int device, int number, PciFunction function) {
        int index = device * FUNCTIONS + number;
        if (device < 0 || device >= DEVICES || number < 0 || number >= FUNCTIONS) {
            throw new IllegalArgumentException("no place: %d.%d".formatted(device, number));
        }
        if (functions.get(index) != null) {
            throw new IllegalArgumentException(
                    "%s is at %d.%d".formatted(functions.get(index), device, number));
        }
        int pin = function.pinNumber();
        LevelLine line = pin == 0 ? LevelLine.NONE : lines.apply(gsi(device, pin - 1));
        function.attach(decoder, line, addresses(function));
        functions.set(index, function);
        PciFunction first = functions.get(device * FUNCTIONS);
        for (int i = 1; i < FUNCTIONS && first != null; i++) {
            if (functions.get(device * FUNCTIONS + i) != null) {
                first.setMultiFunction();
            }
        }
    }

    /// Takes a function away: its BARs answer no longer, and its interrupt pin is low.
    ///
    /// @param place what {@link #add(PciFunction)} returned
    public synchronized void remove(int place) {
        PciFunction function = functions.getAndSet(place, null);
        if (function == null) {
            throw new IllegalArgumentException("no function at 0x%x".formatted(place));
        }
        function.detach();
    }

    /// The configuration space of all functions; a restored bus has the same, in the same places.
    @Override
    public synchronized void persist(StateFields state) {
        for (int place = 0; place <= HIGHEST_FUNCTION; place++) {
            PciFunction function = functions.get(place);
            if (function == null) {
                continue;
            }
            String name = "%02x.%d".formatted(place / FUNCTIONS, place % FUNCTIONS);
            if (state.isRestoring() && !state.hasPart(name)) {
                throw new StateException(
                        "%s is at %s, where there was none".formatted(function, name));
            }
            function.persist(state.part(name));
        }
    }

    /// Tells `newObserver` of every access; before the guest runs.
    public void observe(Observer newObserver) {
        observer = newObserver;
    }

    /// Reads configuration space; all ones where there is no function.
    ///
    /// @param bus 0 to 255
    /// @param deviceFunction device × 8 + function
    /// @param offset in the function's space
    /// @param size 1 to 8 bytes
    long read(int bus, int deviceFunction, int offset, int size) {
        PciFunction function = find(bus, deviceFunction, offset, size);
        long value = function == null ? Bus.NOBODY : function.read(offset, size);
        if (observer != null) {
            observer.accessed(false, bus, deviceFunction, offset, size, value);
        }
        return value;
    }

    /// Writes configuration space; nothing happens where there is no function.
    void write(int bus, int deviceFunction, int offset, int size, long value) {
        PciFunction function = find(bus, deviceFunction, offset, size);
        if (function != null) {
            function.write(offset, size, value);
        }
        if (observer != null) {
            observer.accessed(true, bus, deviceFunction, offset, size, value);
        }
    }

    private @Nullable PciFunction find(int bus, int deviceFunction, int offset, int size) {
        boolean exists =
                bus == 0 && deviceFunction <= HIGHEST_FUNCTION && offset + size <= PciFunction.SIZE;
        return exists ? functions.get(deviceFunction) : null;
    }

    private long[] addresses(PciFunction function) {
        @Nullable PciBar[] bars = function.bars();
        var addresses = new long[bars.length];
        for (int i = 0; i < bars.length; i++) {
            PciBar bar = bars[i];
            if (bar != null) {
                addresses[i] =
                        switch (bar.kind()) {
                            case PORTS -> ports.allocateHigh(bar.size());
                            case MEMORY_32 -> memory.allocate(bar.size(), 1L << Integer.SIZE);
                            case MEMORY_64 ->
                                    bar.size() <= SMALL
                                            ? memory.allocate(bar.size(), Long.MAX_VALUE)
                                            : memory.allocateHigh(bar.size());
                        };
            }
        }
        return addresses;
    }

    private final class Decoding implements PciFunction.Decoder {
        @Override
        public boolean map(PciBar bar, GuestRange range) {
            return windows(bar).map(bar, range);
        }

        @Override
        public void unmap(PciBar bar, GuestRange range) {
            windows(bar).unmap(range);
        }

        private Windows windows(PciBar bar) {
            return bar.kind() == PciBar.Kind.PORTS ? ports : memory;
        }
    }

    /// One address space: the windows of the host bridge, lowest first.
    private static final class Windows {
        private final Bus bus;
        private final List<GuestRange> ranges;
        private final long[] next; // the first address that has not been given away

        Windows(Bus bus, List<GuestRange> ranges) {
            this.bus = bus;
            this.ranges = List.copyOf(ranges);
            this.next = ranges.stream().mapToLong(GuestRange::base).toArray();
        }

        boolean map(PciBar bar, GuestRange range) {
            return ranges.stream().anyMatch(window -> window.holds(range.base(), range.size()))
                    && bus.offer(range, bar.registers());
        }

        void unmap(GuestRange range) {
            bus.remove(range);
        }

        /// The lowest free address that is aligned to `size`, and ends before `end`.
        long allocate(long size, long end) {
            for (int i = 0; i < next.length; i++) {
                long address = aligned(i, size);
                if (address >= 0 && address + size <= end) {
                    next[i] = address + size;
                    return address;
                }
            }
            throw new IllegalArgumentException(
                    "no room for a BAR of 0x%x bytes on the PCI bus".formatted(size));
        }

        /// The same in the highest window where it fits.
        long allocateHigh(long size) {
            for (int i = next.length - 1; i >= 0; i--) {
                long address = aligned(i, size);
                if (address >= 0) {
                    next[i] = address + size;
                    return address;
                }
            }
            return allocate(size, Long.MAX_VALUE);
        }

        /// @return -1 if it does not fit
        private long aligned(int window, long size) {
            long address = (next[window] + size - 1) & -size;
            // 0 says that a BAR has no address
            address = address == 0 ? size : address;
            return address >= 0 && ranges.get(window).holds(address, size) ? address : -1;
        }
    }
}
