package org.kaval.kvm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.kaval.kvm.abi.KvmAbi;
import org.kaval.kvm.abi.kvm_cpuid2;
import org.kaval.kvm.abi.kvm_cpuid_entry2;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;

/// One answer of the CPUID instruction (`struct kvm_cpuid_entry2`).
///
/// @param function the leaf, from EAX
/// @param index the subleaf, from ECX; means something only with {@link #FLAG_SIGNIFICANT_INDEX}
/// @param flags {@link #FLAG_SIGNIFICANT_INDEX} or 0
public record CpuidEntry(int function, int index, int flags, int eax, int ebx, int ecx, int edx) {
    /// The leaf has subleaves, and this is one of them.
    public static final int FLAG_SIGNIFICANT_INDEX = KvmAbi.KVM_CPUID_FLAG_SIGNIFCANT_INDEX();

    /// The kernel's own limit (`KVM_MAX_CPUID_ENTRIES`, arch/x86/include/asm/kvm_host.h).
    private static final int MAX_ENTRIES = 256;

    /// No leaf: no vendor has one so high.
    private static final int NO_FUNCTION = -1;

    /// A leaf without subleaves.
    public static CpuidEntry of(int function, int eax, int ebx, int ecx, int edx) {
        return new CpuidEntry(function, 0, 0, eax, ebx, ecx, edx);
    }

    /// A subleaf.
    public static CpuidEntry of(int function, int index, int eax, int ebx, int ecx, int edx) {
        return new CpuidEntry(function, index, FLAG_SIGNIFICANT_INDEX, eax, ebx, ecx, edx);
    }

    /// Links what {@link #readAll} needs.
    static void prepare() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment entry = entry(allocate(arena, 1), 0);
            read(entry).write(entry);
        }
    }

    static List<CpuidEntry> readAll(Fd fd, String operation, long request) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment table = allocate(arena, MAX_ENTRIES);
            for (int i = 0; i < MAX_ENTRIES; i++) {
                kvm_cpuid_entry2.function(entry(table, i), NO_FUNCTION);
            }
            fd.ioctl(operation, request, table);
            int count = Math.min(kvm_cpuid2.nent(table), MAX_ENTRIES);
            // KVM_GET_CPUID2 of Linux 6.1 leaves the count as it was given
            while (count > 0 && kvm_cpuid_entry2.function(entry(table, count - 1)) == NO_FUNCTION) {
                count--;
            }
            var entries = new ArrayList<CpuidEntry>(count);
            for (int i = 0; i < count; i++) {
                entries.add(read(entry(table, i)));
            }
            return List.copyOf(entries);
        }
    }

    static void writeAll(Fd fd, String operation, long request, List<CpuidEntry> entries)
            throws ErrnoException {
        if (entries.size() > MAX_ENTRIES) {
            throw new ErrnoException(operation, fd.name(), Errno.E2BIG);
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment table = allocate(arena, entries.size());
            for (int i = 0; i < entries.size(); i++) {
                entries.get(i).write(entry(table, i));
            }
            fd.ioctl(operation, request, table);
        }
    }

    private static MemorySegment allocate(Arena arena, int count) {
        MemorySegment table =
                arena.allocate(
                        kvm_cpuid2.entries$offset() + count * kvm_cpuid_entry2.sizeof(),
                        kvm_cpuid2.layout().byteAlignment());
        kvm_cpuid2.nent(table, count);
        return table;
    }

    private static MemorySegment entry(MemorySegment table, int index) {
        long size = kvm_cpuid_entry2.sizeof();
        return table.asSlice(kvm_cpuid2.entries$offset() + index * size, size);
    }

    private static CpuidEntry read(MemorySegment entry) {
        return new CpuidEntry(
                kvm_cpuid_entry2.function(entry),
                kvm_cpuid_entry2.index(entry),
                kvm_cpuid_entry2.flags(entry),
                kvm_cpuid_entry2.eax(entry),
                kvm_cpuid_entry2.ebx(entry),
                kvm_cpuid_entry2.ecx(entry),
                kvm_cpuid_entry2.edx(entry));
    }

    private void write(MemorySegment entry) {
        kvm_cpuid_entry2.function(entry, function);
        kvm_cpuid_entry2.index(entry, index);
        kvm_cpuid_entry2.flags(entry, flags);
        kvm_cpuid_entry2.eax(entry, eax);
        kvm_cpuid_entry2.ebx(entry, ebx);
        kvm_cpuid_entry2.ecx(entry, ecx);
        kvm_cpuid_entry2.edx(entry, edx);
    }
}
