package org.kaval.cli;

import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.RateLimit;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.devices.virtio.VirtioRng;
import org.kaval.machine.ConfigException;
import org.kaval.machine.DeviceFactory;
import org.kaval.machine.VmBuilder;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.TypeConversionException;

/// The source of random numbers of `kaval run`: a kernel has one unless its user says otherwise, a
/// payload if its user says so.
final class RngOption {
    private final OptionSpec rng =
            OptionSpec.builder("--rng")
                    .paramLabel("on|off|SIZE")
                    .type(String.class)
                    .description(
                            "Whether the guest gets random numbers from the host, or how many bytes of them a"
                                    + " second at most, as 64K. Default: on for a kernel.")
                    .build();

    OptionSpec spec() {
        return rng;
    }

    /// Gives each machine that `builder` builds what the option says.
    void attachTo(
            VmBuilder builder, boolean kernel, Function<VirtioDevice, DeviceFactory> transport) {
        @Nullable String value = rng.getValue();
        if (value == null ? !kernel : value.equals("off")) {
            return;
        }
        RateLimit.Rate rate =
                value == null || value.equals("on") ? RateLimit.Rate.UNLIMITED : rate(value);
        builder.device(
                machine -> transport.apply(VirtioRng.open("virtio-rng0", rate)).attach(machine));
    }

    /// @return a second's worth at once
    private static RateLimit.Rate rate(String text) {
        long bytes;
        try {
            bytes = ByteSize.parse(text).bytes();
        } catch (TypeConversionException e) {
            throw new ConfigException(
                    "rng", "'%s' is none of on, off and a size as 64K".formatted(text));
        }
        if (bytes == 0) {
            throw new ConfigException("rng", "is 0: 'off' is without");
        }
        return new RateLimit.Rate(bytes, bytes);
    }
}
