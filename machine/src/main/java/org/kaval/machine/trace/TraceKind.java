package org.kaval.machine.trace;

import java.util.Locale;

/// What can be traced.
public enum TraceKind {
    /// All exits of vCPUs to user space: ports, memory, and what ends a guest.
    EXITS,
    /// Accesses to ports.
    PIO,
    /// Accesses to guest-physical addresses that are not RAM.
    MMIO,
    /// Accesses to PCI configuration space, with function and register.
    PCI,
    /// What virtio drivers and devices do: negotiation, each request taken and given back.
    VIRTIO;

    /// As it is written on a command line.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
