package org.kaval.devices;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestRange;

/// Finds the device at an address: one bus has the ports, another the memory-mapped registers.
///
/// Any thread. Lookups take no lock and allocate nothing: they use an immutable table, which a
/// change replaces. What nobody answers reads as ones and is otherwise ignored, as on a PC.
public final class Bus {
    /// What a read gets where there is no device.
    public static final long NOBODY = -1L;

    /// A guest can misbehave for ever; the log is told of the first few times.
    private static final int LOGGED_FAULTS = 16;

    private static final Logger LOG = System.getLogger(Bus.class.getName());

    private final String name;
    private final LongAdder unclaimed = new LongAdder();
    private final LongAdder faults = new LongAdder();
    private volatile Table table = new Table(List.of());

    /// @param name for messages: `port`, `mmio`
    public Bus(String name) {
        this.name = name;
    }

    private record Entry(GuestRange range, Device device) {}

    /// Parallel arrays in ascending order.
    private static final class Table {
        private final List<Entry> entries;
        private final long[] bases;
        private final long[] ends;
        private final Device[] devices;

        Table(List<Entry> unsorted) {
            entries =
                    unsorted.stream()
                            .sorted(Comparator.comparingLong(entry -> entry.range.base()))
                            .toList();
            bases = entries.stream().mapToLong(entry -> entry.range.base()).toArray();
            ends = entries.stream().mapToLong(entry -> entry.range.end()).toArray();
            devices = entries.stream().map(Entry::device).toArray(Device[]::new);
        }

        /// The index of the device that has all of the access, or -1.
        int find(long address, int size) {
            int low = 0;
            int high = bases.length - 1;
            while (low <= high) {
                int middle = (low + high) >>> 1;
                if (address < bases[middle]) {
                    high = middle - 1;
                } else if (address >= ends[middle]) {
                    low = middle + 1;
                } else {
                    return size <= ends[middle] - address ? middle : -1;
                }
            }
            return -1;
        }
    }

    /// Puts `device` at `range`.
    ///
    /// @throws IllegalArgumentException if another device has part of it
    public synchronized void add(GuestRange range, Device device) {
        Entry other = overlapping(range);
        if (other != null) {
            throw new IllegalArgumentException(
                    "%s %s: %s has %s".formatted(name, range, other.device, other.range));
        }
        insert(range, device);
    }

    /// Puts `device` at `range`, which a guest has chosen, unless another device has part of it.
    ///
    /// @return whether it is there now
    public synchronized boolean offer(GuestRange range, Device device) {
        boolean free = overlapping(range) == null;
        if (free) {
            insert(range, device);
        }
        return free;
    }

    /// Takes away the device at `range`. Accesses that have begun may still reach it.
    ///
    /// @throws IllegalArgumentException if no device was put at just this range
    public synchronized void remove(GuestRange range) {
        var entries = new ArrayList<>(table.entries);
        if (!entries.removeIf(entry -> entry.range.equals(range))) {
            throw new IllegalArgumentException("%s %s: no device".formatted(name, range));
        }
        table = new Table(entries);
    }

    private @Nullable Entry overlapping(GuestRange range) {
        return table.entries.stream()
                .filter(entry -> entry.range.overlaps(range))
                .findFirst()
                .orElse(null);
    }

    private void insert(GuestRange range, Device device) {
        var entries = new ArrayList<>(table.entries);
        entries.add(new Entry(range, device));
        table = new Table(entries);
    }

    /// The device that has `address`.
    public Optional<Device> deviceAt(long address) {
        Table current = table;
        int index = current.find(address, 1);
        return index < 0 ? Optional.empty() : Optional.of(current.devices[index]);
    }

    /// Reads `size` bytes at `address` from the device there, or {@link #NOBODY}.
    public long read(long address, int size) {
        Table current = table;
        int index = current.find(address, size);
        if (index < 0) {
            unclaimed.increment();
            return NOBODY;
        }
        try {
            return current.devices[index].read(address - current.bases[index], size);
        } catch (GuestFault fault) {
            note(current.devices[index], fault);
            return NOBODY;
        }
    }

    /// Writes `size` bytes at `address` to the device there, or nowhere.
    public void write(long address, int size, long value) {
        Table current = table;
        int index = current.find(address, size);
        if (index < 0) {
            unclaimed.increment();
            return;
        }
        try {
            current.devices[index].write(address - current.bases[index], size, value);
        } catch (GuestFault fault) {
            note(current.devices[index], fault);
        }
    }

    /// How many accesses no device answered.
    public long unclaimedAccesses() {
        return unclaimed.sum();
    }

    /// How many accesses broke a device's rules.
    public long guestFaults() {
        return faults.sum();
    }

    private void note(Device device, GuestFault fault) {
        faults.increment();
        if (faults.sum() <= LOGGED_FAULTS) {
            LOG.log(Level.WARNING, "{0} bus, {1}: {2}", name, device, fault.getMessage());
        }
    }
}
