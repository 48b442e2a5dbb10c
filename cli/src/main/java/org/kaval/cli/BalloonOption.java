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
    private long memory; // of the machine, in bytes; guarded by this
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
        synchronized (this) {
            target = asked;
        }
        builder.device(machine -> transport.apply(next(machine.memory().size())).attach(machine));
    }

    /// The balloon of the next machine, which is asked for as much as the last one.
    private synchronized VirtioBalloon next(long bytes) {
        memory = bytes;
        if (device != null) {
            target = device.target(); // which a snapshot may have said
        }
        problem(target)
                .ifPresent(problem -> {
                    throw new ConfigException("balloon", problem);
                });
        var next = new VirtioBalloon("virtio-balloon0");
        next.setTarget(target);
        device = next;
        return next;
    }

    /// The balloon of the machine that runs; empty if it has none.
    synchronized Optional<VirtioBalloon> device() {
        return Optional.ofNullable(device);
    }

    /// Why no guest of this machine can be asked for so much; empty if it can be.
    synchronized Optional<String> problem(long bytes) {
        if (!VirtioBalloon.isTarget(bytes)) {
            return Optional.of("%d bytes are not whole pages".formatted(bytes));
        }
        return bytes <= memory
                ? Optional.empty()
                : Optional.of("the machine has %d bytes, and not %d".formatted(memory, bytes));
    }

    /// Asks the guest to give up so much memory, and those after a restart.
    ///
    /// @param bytes without a {@link #problem}
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
