package org.kaval.machine.boot;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.kaval.memory.GuestRange;

/// What a PC's firmware tells of memory (ACPI 6.5 §15, "E820").
///
/// RAM is usable, save for what a PC keeps for itself below 1 MiB, and for what the machine says:
///
/// | from    | to      | what                                              |
/// |--------:|--------:|---------------------------------------------------|
/// | 0       | 0x9fbff | usable                                            |
/// | 0x9fc00 | 0xfffff | reserved: extended BIOS data, video memory, ROMs  |
/// | 1 MiB   |         | usable, as far as there is RAM                    |
public final class MemoryMap {
    /// What the guest may do with a range.
    public enum Type {
        USABLE(1),
        RESERVED(2),
        /// ACPI tables: usable once the guest has read them.
        ACPI_RECLAIMABLE(3),
        /// Never to be used, and kept while the machine sleeps.
        ACPI_NVS(4);

        private final int code;

        Type(int code) {
            this.code = code;
        }

        /// Its number in ACPI, Linux, PVH and Multiboot.
        public int code() {
            return code;
        }
    }

    /// A range and its type.
    public record Entry(GuestRange range, Type type) {}

    /// The most entries that Linux's zero page has room for (`E820_MAX_ENTRIES_ZEROPAGE`).
    public static final int MAX_ENTRIES = 128;

    /// End of the memory that a real-mode program may use.
    static final long LOW_END = 0x9_fc00;

    static final long MEBIBYTE = 1L << 20;

    private static final Entry LEGACY =
            new Entry(new GuestRange(LOW_END, MEBIBYTE - LOW_END), Type.RESERVED);

    private final List<Entry> entries;

    private MemoryMap(List<Entry> entries) {
        if (entries.size() > MAX_ENTRIES) {
            throw new IllegalArgumentException(
                    "%d entries; %d are possible".formatted(entries.size(), MAX_ENTRIES));
        }
        this.entries = List.copyOf(entries);
    }

    /// The map of a machine.
    ///
    /// @param ram disjoint
    /// @param reserved what is something else; a later one counts where two overlap
    /// @throws IllegalArgumentException if it has more than {@link #MAX_ENTRIES} entries
    public static MemoryMap of(List<GuestRange> ram, List<Entry> reserved) {
        List<Entry> entries = ram.stream().map(range -> new Entry(range, Type.USABLE)).toList();
        entries = overlay(entries, LEGACY);
        for (Entry entry : reserved) {
            entries = overlay(entries, entry);
        }
        return new MemoryMap(merge(entries));
    }

    /// In ascending order, disjoint, neighbours of different types.
    public List<Entry> entries() {
        return entries;
    }

    /// The usable ranges, in ascending order.
    public List<GuestRange> usable() {
        return entries.stream()
                .filter(entry -> entry.type == Type.USABLE)
                .map(Entry::range)
                .toList();
    }

    @Override
    public String toString() {
        return entries.toString();
    }

    private static List<Entry> overlay(List<Entry> below, Entry top) {
        var result = new ArrayList<Entry>();
        for (Entry entry : below) {
            cut(entry.range, top.range).forEach(range -> result.add(new Entry(range, entry.type)));
        }
        result.add(top);
        return result;
    }

    /// What is left of `range` without `hole`.
    static List<GuestRange> cut(GuestRange range, GuestRange hole) {
        if (!range.overlaps(hole)) {
            return List.of(range);
        }
        var rest = new ArrayList<GuestRange>(2);
        if (range.base() < hole.base()) {
            rest.add(new GuestRange(range.base(), hole.base() - range.base()));
        }
        if (hole.end() < range.end()) {
            rest.add(new GuestRange(hole.end(), range.end() - hole.end()));
        }
        return rest;
    }

    private static List<Entry> merge(List<Entry> entries) {
        var sorted = new ArrayList<>(entries);
        sorted.sort(Comparator.comparingLong(entry -> entry.range.base()));
        var merged = new ArrayList<Entry>();
        for (Entry entry : sorted) {
            Entry last = merged.isEmpty() ? null : merged.getLast();
            if (last != null && last.type == entry.type && last.range.end() == entry.range.base()) {
                merged.removeLast();
                long base = last.range.base();
                merged.add(new Entry(new GuestRange(base, entry.range.end() - base), entry.type));
            } else {
                merged.add(entry);
            }
        }
        return merged;
    }
}
