package org.kaval.machine;

import java.io.IOException;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.devices.virtio.VirtioHost;
import org.kaval.devices.virtio.VirtioMmio;
import org.kaval.devices.virtio.VirtioPci;
import org.kaval.machine.acpi.Aml;
import org.kaval.machine.acpi.Resource;
import org.kaval.machine.trace.Trace;
import org.kaval.machine.trace.TraceKind;
import org.kaval.memory.GuestRange;

/// Puts virtio devices into machines.
///
/// ```java
/// Vm.builder().device(Virtio.pci(disk))
/// ```
///
/// The machine closes the device, once it has been attached; a device is of one machine.
public final class Virtio {
    private static final String ACPI_ID = "LNRO0005";

    private Virtio() {}

    /// On the PCI bus, where every system finds it.
    public static DeviceFactory pci(VirtioDevice device) {
        return machine -> {
            VirtioPci function =
                    VirtioPci.create(device, host(device, machine), machine.messageInterrupts());
            machine.onClose(function::close);
            machine.count(device.name(), function.queues());
            machine.persist(device.name(), function);
            machine.pci().add(function.function());
        };
    }

    /// As registers in memory, which ACPI describes: for machines without PCI, and systems with
    /// `virtio_mmio`.
    public static DeviceFactory mmio(VirtioDevice device) {
        return machine -> {
            Placed placed = place(device, machine);
            // ACPI 6.5 §6.1.5: names of a scope differ; the address is unique
            String name = "V%03X".formatted(placed.range.base() / VirtioMmio.SIZE & 0xfff);
            machine.describe(
                    Aml.device(
                            name,
                            Aml.name("_HID", Aml.string(ACPI_ID)),
                            Aml.name("_UID", Aml.integer(placed.range.base() / VirtioMmio.SIZE)),
                            Aml.name("_CCA", Aml.integer(1)),
                            Aml.name(
                                    "_CRS",
                                    Resource.template(
                                            Resource.memory32(placed.range),
                                            Resource.sharedInterrupt(placed.interrupt)))));
        };
    }

    /// As registers in memory, of which Linux hears on its command line: for kernels without ACPI
    /// that were built with `CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES`.
    public static DeviceFactory mmioOnCommandLine(VirtioDevice device) {
        return machine -> {
            Placed placed = place(device, machine);
            machine.kernelArgument(
                    "virtio_mmio.device=%dK@0x%x:%d"
                            .formatted(
                                    placed.range.size() >> 10,
                                    placed.range.base(),
                                    placed.interrupt));
        };
    }

    private record Placed(GuestRange range, int interrupt) {}

    private static Placed place(VirtioDevice device, MachineContext machine) throws IOException {
        GuestRange range = machine.freeMmio(VirtioMmio.SIZE);
        int interrupt = machine.freeInterrupt();
        VirtioMmio registers =
                VirtioMmio.create(
                        device,
                        host(device, machine),
                        range.base(),
                        machine.interruptLine(interrupt));
        machine.onClose(registers::close);
        machine.count(device.name(), registers.queues());
        machine.persist(device.name(), registers);
        machine.mmio().add(range, registers);
        return new Placed(range, interrupt);
    }

    private static VirtioHost host(VirtioDevice device, MachineContext machine) {
        Trace trace = machine.trace();
        String name = device.name();
        return new VirtioHost(
                machine.memory(),
                machine.doorbells(),
                machine::broken,
                trace.isOn(TraceKind.VIRTIO)
                        ? text -> trace.add(TraceKind.VIRTIO, () -> name + " " + text.get())
                        : null);
    }
}
