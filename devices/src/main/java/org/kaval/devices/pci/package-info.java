/// PCI: the configuration space of a machine's functions and how a guest reaches it, and what they
/// decode (PCI Local Bus Specification 3.0, PCI Express Base Specification 5.0).
///
/// ```
///   ports 0xcf8, 0xcfc ── PciConfigPorts ─┐             ┌─ PciFunction: registers, capabilities
///   ECAM, 4 KiB each ──── PciEcam ────────┴─ PciBus ────┤      └─ PciBar ── Bus (ports or mmio)
///                                                       │    MsiX ── MessageInterrupts
///                                                       └─ …
/// ```
///
/// Whatever a guest writes is taken: registers have masks, and a BAR that points where the bus does
/// not go, or to something else, answers nothing.
///
/// Any thread, once a machine is built. Nothing is null unless a type says {@link
/// org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.devices.pci;

import org.jspecify.annotations.NullMarked;
