package org.kaval.cli;

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

    OptionSpec spec() {
        return balloon;
    }

    /// Gives each machine that `builder` builds what the option says.
    void attachTo(VmBuilder builder, Function<VirtioDevice, DeviceFactory> transport) {
        @Nullable String value = balloon.getValue();
        if (value == null || value.equals("off")) {
            return;
        }
        long target = value.equals("on") ? 0 : size(value);
        if (!VirtioBalloon.isTarget(target)) {
            throw new ConfigException("balloon", "%d bytes are not whole pages".formatted(target));
        }
        builder.device(machine -> {
            var device = new VirtioBalloon("virtio-balloon0");
            device.setTarget(target);
            transport.apply(device).attach(machine);
        });
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
