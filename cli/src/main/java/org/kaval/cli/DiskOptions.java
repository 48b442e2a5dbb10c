package org.kaval.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.machine.ConfigException;
import org.kaval.machine.DeviceFactory;
import org.kaval.machine.Virtio;
import picocli.CommandLine.Option;

/// The disks of `kaval run`.
final class DiskOptions {
    @Option(
            names = "--disk",
            paramLabel = "FILE[,KEY=VALUE]...",
            description = {
                "A disk on an image or block device; several times for several disks. After the file:"
                        + " format=raw|qcow2 (default: by its name), readonly, overlay (throw away what"
                        + " is written), id=NAME, serial=TEXT, cache=writeback|none|unsafe,"
                        + " discard=unmap|ignore, queues=N, iops=N and bandwidth=SIZE a second,"
                        + " burst=SECONDS of these at once."
            })
    List<String> disks = new ArrayList<>();

    @Option(
            names = "--ephemeral",
            description = "Throw away in the end what the guest has written to its disks.")
    boolean ephemeral;

    @Option(
            names = "--mmio",
            description =
                    "Have the disks in memory-mapped registers, which ACPI describes, instead of on"
                            + " the PCI bus.")
    boolean mmio;

    @Option(
            names = "--mmio-cmdline",
            description = "The same, described on the kernel's command line.")
    boolean mmioOnCommandLine;

    /// Opens what they name.
    GuestDisks open() throws IOException {
        var specs = new ArrayList<DiskSpec>();
        for (String disk : disks) {
            DiskSpec spec = DiskSpec.parse(disk, specs.size());
            if (specs.stream().anyMatch(other -> other.name().equals(spec.name()))) {
                throw new ConfigException(
                        "disk[%d].id".formatted(specs.size()),
                        "another disk is called '%s'".formatted(spec.name()));
            }
            specs.add(spec);
        }
        return GuestDisks.open(specs, ephemeral, transport());
    }

    private Function<VirtioDevice, DeviceFactory> transport() {
        if (mmio && mmioOnCommandLine) {
            throw new ConfigException("mmio", "goes without --mmio-cmdline");
        }
        if (mmioOnCommandLine) {
            return Virtio::mmioOnCommandLine;
        }
        return mmio ? Virtio::mmio : Virtio::pci;
    }
}
