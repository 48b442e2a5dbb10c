package org.kaval.cli;

import static org.kaval.cli.CommonOptions.flag;

import java.io.IOException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.kaval.machine.ConfigException;
import org.kaval.machine.boot.BootSource;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.boot.KernelBoot;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/// What `kaval run` boots.
final class BootOptions {
    private static final String DEFAULT_COMMAND_LINE = "console=ttyS0";

    private final OptionSpec kernel =
            OptionSpec.builder("--kernel")
                    .paramLabel("FILE")
                    .type(Path.class)
                    .description(
                            "A kernel: bzImage (vmlinuz), ELF with a PVH entry (vmlinux), Multiboot 1, or"
                                    + " plain ELF. Default: the one that this host runs, with its initrd.")
                    .build();

    private final OptionSpec initrd =
            OptionSpec.builder("--initrd")
                    .paramLabel("FILE")
                    .type(Path.class)
                    .description("What the kernel gets as its initial RAM disk.")
                    .build();

    private final OptionSpec commandLine =
            OptionSpec.builder("--cmdline")
                    .paramLabel("TEXT")
                    .type(String.class)
                    .defaultValue(DEFAULT_COMMAND_LINE)
                    .description("The kernel's command line. Default: ${DEFAULT-VALUE}.")
                    .build();

    private final OptionSpec fast =
            flag("--fast-boot")
                    .description(
                            "Decompress a bzImage on the host and keep the result: it starts faster, at an"
                                    + " address that is not random.")
                    .build();

    private final OptionSpec payload =
            OptionSpec.builder("--payload")
                    .paramLabel("FILE")
                    .type(Path.class)
                    .description(
                            "Flat code without any format, entered at its first byte, and no kernel.")
                    .build();

    private final OptionSpec mode =
            OptionSpec.builder("--mode")
                    .paramLabel("MODE")
                    .type(FlatPayload.Mode.class)
                    .defaultValue("LONG64")
                    .description(
                            "The mode a payload is entered in, which also says where it is loaded: REAL16"
                                    + " (at 0x7c00), PROTECTED32 or LONG64 (at 0x100000). Default:"
                                    + " ${DEFAULT-VALUE}.")
                    .build();

    /// To be mixed into a command.
    CommandSpec mixin() {
        return CommandSpec.create()
                .addOption(kernel)
                .addOption(initrd)
                .addOption(commandLine)
                .addOption(fast)
                .addOption(payload)
                .addOption(mode);
    }

    /// Whether they say anything.
    boolean isGiven() {
        return kernel.getValue() != null || payload.getValue() != null;
    }

    /// Whether it is a kernel, and not code that knows of no devices.
    boolean isKernel() {
        return payload.getValue() == null;
    }

    /// What they say, and, if they say nothing, a line about what is booted then.
    BootSource source() throws IOException {
        @Nullable Path flat = payload.getValue();
        @Nullable Path booted = kernel.getValue();
        @Nullable Path initialRamDisk = initrd.getValue();
        if (flat != null) {
            if (booted != null || initialRamDisk != null) {
                throw new ConfigException("payload", "goes without --kernel and --initrd");
            }
            return FlatPayload.of(flat, mode.getValue());
        }
        if (booted == null) {
            HostKernel host = HostKernel.find(Path.of("/"));
            booted = host.kernel();
            initialRamDisk = initialRamDisk == null ? host.initrd() : initialRamDisk;
            System.err.println(
                    "kaval: booting this host's " + new HostKernel(booted, initialRamDisk));
        }
        KernelBoot boot =
                KernelBoot.of(booted)
                        .commandLine(commandLine.getValue())
                        .fastBoot(fast.<Boolean>getValue());
        return initialRamDisk == null ? boot : boot.initrd(initialRamDisk);
    }
}
