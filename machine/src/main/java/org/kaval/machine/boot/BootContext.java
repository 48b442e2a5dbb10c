package org.kaval.machine.boot;

import java.util.List;
import org.kaval.memory.GuestMemory;

/// What a machine tells whoever is to be booted in it.
///
/// @param memory all zero, save for what lies in `reserved`
/// @param acpiRsdp guest-physical address of the ACPI root pointer (ACPI 6.5 §5.2.5.3), 0 if there
///   is none
/// @param reserved ranges that are not for the guest to use, inside RAM (ACPI tables) and outside
///   (ECAM); nothing is loaded there. A later one counts where two overlap
/// @param kernelArguments words that devices add to a kernel's command line, before the user's
public record BootContext(
        GuestMemory memory,
        long acpiRsdp,
        List<MemoryMap.Entry> reserved,
        List<String> kernelArguments) {
    public BootContext {
        if (acpiRsdp < 0) {
            throw new IllegalArgumentException("no address: 0x%x".formatted(acpiRsdp));
        }
        reserved = List.copyOf(reserved);
        kernelArguments = List.copyOf(kernelArguments);
    }

    /// A machine whose devices add nothing to a command line.
    public BootContext(GuestMemory memory, long acpiRsdp, List<MemoryMap.Entry> reserved) {
        this(memory, acpiRsdp, reserved, List.of());
    }

    /// A machine without ACPI and without reserved ranges.
    public static BootContext of(GuestMemory memory) {
        return new BootContext(memory, 0, List.of());
    }

    /// What the guest is told of its memory.
    public MemoryMap memoryMap() {
        return MemoryMap.of(memory.ranges(), reserved);
    }
}
