package org.kaval.cli;

import java.io.IOException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.kaval.machine.ConfigException;
import org.kaval.machine.boot.BootSource;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.boot.KernelBoot;
import picocli.CommandLine.Option;

/// What `kaval run` boots.
final class BootOptions {
    private static final String DEFAULT_COMMAND_LINE = "console=ttyS0";

    @Option(
            names = "--kernel",
            paramLabel = "FILE",
            description =
                    "A kernel: bzImage (vmlinuz), ELF with a PVH entry (vmlinux), Multiboot 1, or"
                            + " plain ELF. Default: the one that this host runs, with its initrd.")
    @Nullable Path kernel;

    @Option(
            names = "--initrd",
            paramLabel = "FILE",
            description = "What the kernel gets as its initial RAM disk.")
    @Nullable Path initrd;

    @Option(
            names = "--cmdline",
            paramLabel = "TEXT",
            defaultValue = DEFAULT_COMMAND_LINE,
            description = "The kernel's command line. Default: ${DEFAULT-VALUE}.")
    String commandLine = DEFAULT_COMMAND_LINE;

    @Option(
            names = "--fast-boot",
            description =
                    "Decompress a bzImage on the host and keep the result: it starts faster, at an"
                            + " address that is not random.")
    boolean fast;

    @Option(
            names = "--payload",
            paramLabel = "FILE",
            description = "Flat code without any format, entered at its first byte, and no kernel.")
    @Nullable Path payload;

    @Option(
            names = "--mode",
            paramLabel = "MODE",
            defaultValue = "LONG64",
            description =
                    "The mode a payload is entered in, which also says where it is loaded: REAL16"
                            + " (at 0x7c00), PROTECTED32 or LONG64 (at 0x100000). Default:"
                            + " ${DEFAULT-VALUE}.")
    FlatPayload.Mode mode = FlatPayload.Mode.LONG64;

    /// What they say, and, if they say nothing, a line about what is booted then.
    BootSource source() throws IOException {
        if (payload != null) {
            if (kernel != null || initrd != null) {
                throw new ConfigException("payload", "goes without --kernel and --initrd");
            }
            return FlatPayload.of(payload, mode);
        }
        Path booted = kernel;
        Path initialRamDisk = initrd;
        if (booted == null) {
            HostKernel host = HostKernel.find(Path.of("/"));
            booted = host.kernel();
            initialRamDisk = initrd == null ? host.initrd() : initrd;
            System.err.println(
                    "kaval: booting this host's " + new HostKernel(booted, initialRamDisk));
        }
        KernelBoot boot = KernelBoot.of(booted).commandLine(commandLine).fastBoot(fast);
        return initialRamDisk == null ? boot : boot.initrd(initialRamDisk);
    }
}
