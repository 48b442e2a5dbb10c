package org.kaval.cli;

import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.virtio.VirtioBalloon;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.machine.ConfigException;
import org.kaval.machine.DeviceFactory;
import org.kaval.machine.VmBuilder;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.TypeConversionException;

/// The memory balloon of `kaval run`.
final class BalloonOption {
    private final OptionSpec balloon =
            OptionSpec.builder("--balloon")
                    .paramLabel("on|off|SIZE")
                    .type(String.class)
                    .defaultValue("off")
                    .description(
                            "Whether the guest gives memory that it does not use back to the host, and how"
                                    + " much it is to give up, as 512M. Default: ${DEFAULT-VALUE}.")
                    .build();

    private long target; // guarded by this
    private @Nullable VirtioBalloon device; // of the machine that runs; guarded by this

    OptionSpec spec() {
        return balloon;
    }

    /// Gives each machine that `builder` builds what the option says.
    void attachTo(VmBuilder builder, Function<VirtioDevice, DeviceFactory> transport) {
        @Nullable String value = balloon.getValue();
        if (value == null || value.equals("off")) {
            return;
        }
        long asked = value.equals("on") ? 0 : size(value);
        if (!VirtioBalloon.isTarget(asked)) {
            throw new ConfigException("balloon", "%d bytes are not whole pages".formatted(asked));
        }
        synchronized (this) {
            target = asked;
        }
        builder.device(machine -> transport.apply(next()).attach(machine));
    }

    /// The balloon of the next machine, which is asked for as much as the last one.
    private synchronized VirtioBalloon next() {
        var next = new VirtioBalloon("virtio-balloon0");
        next.setTarget(target);
        device = next;
        return next;
    }

    /// The balloon of the machine that runs; empty if it has none.
    synchronized Optional<VirtioBalloon> device() {
        return Optional.ofNullable(device);
    }

    /// Asks the guest to give up so much memory, and those after a restart.
    ///
    /// @param bytes whole pages
    /// @throws IllegalStateException if there is no balloon
    synchronized void setTarget(long bytes) {
        device().orElseThrow(IllegalStateException::new).setTarget(bytes);
        target = bytes;
    }

    private static long size(String text) {
        try {
            return ByteSize.parse(text).bytes();
        } catch (TypeConversionException e) {
            throw new ConfigException(
                    "balloon", "'%s' is none of on, off and a size as 512M".formatted(text));
        }
    }
}
