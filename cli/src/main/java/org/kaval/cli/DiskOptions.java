package org.kaval.cli;

import static org.kaval.cli.CommonOptions.flag;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.machine.ConfigException;
import org.kaval.machine.DeviceFactory;
import org.kaval.machine.Virtio;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/// The disks of `kaval run`.
final class DiskOptions {
    private final OptionSpec disks =
            OptionSpec.builder("--disk")
                    .paramLabel("FILE[,KEY=VALUE]...")
                    .type(List.class)
                    .auxiliaryTypes(String.class)
                    .initialValue(List.of())
                    .description(
                            "A disk on an image or block device; several times for several disks. After the file:"
                                    + " format=raw|qcow2 (default: by its name), readonly, overlay (throw away what"
                                    + " is written), id=NAME, serial=TEXT, cache=writeback|none|unsafe,"
                                    + " discard=unmap|ignore, queues=N, engine=threads|io_uring, iops=N and"
                                    + " bandwidth=SIZE a second, burst=SECONDS of these at once.")
                    .build();

    private final OptionSpec ephemeral =
            flag("--ephemeral")
                    .description("Throw away in the end what the guest has written to its disks.")
                    .build();

    private final OptionSpec mmio =
            flag("--mmio")
                    .description(
                            "Have virtio devices in memory-mapped registers, which ACPI describes, instead of on"
                                    + " the PCI bus.")
                    .build();

    private final OptionSpec mmioOnCommandLine =
            flag("--mmio-cmdline")
                    .description("The same, described on the kernel's command line.")
                    .build();

    /// To be mixed into a command.
    CommandSpec mixin() {
        return CommandSpec.create()
                .addOption(disks)
                .addOption(ephemeral)
                .addOption(mmio)
                .addOption(mmioOnCommandLine);
    }

    /// Opens what they name.
    GuestDisks open() throws IOException {
        var specs = new ArrayList<DiskSpec>();
        for (String disk : disks.<List<String>>getValue()) {
            DiskSpec spec = DiskSpec.parse(disk, specs.size());
            if (specs.stream().anyMatch(other -> other.name().equals(spec.name()))) {
                throw new ConfigException(
                        "disk[%d].id".formatted(specs.size()),
                        "another disk is called '%s'".formatted(spec.name()));
            }
            specs.add(spec);
        }
        return GuestDisks.open(specs, ephemeral.getValue(), transport());
    }

    /// How virtio devices reach the guest.
    Function<VirtioDevice, DeviceFactory> transport() {
        boolean inMemory = mmio.getValue();
        boolean onCommandLine = mmioOnCommandLine.getValue();
        if (inMemory && onCommandLine) {
            throw new ConfigException("mmio", "goes without --mmio-cmdline");
        }
        if (onCommandLine) {
            return Virtio::mmioOnCommandLine;
        }
        return inMemory ? Virtio::mmio : Virtio::pci;
    }
}
