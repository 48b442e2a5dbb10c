package org.kaval.cli;

import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.machine.DeviceFactory;
import org.kaval.machine.VmBuilder;
import picocli.CommandLine.Model.OptionSpec;

/// The virtio console of `kaval run`: a kernel has one unless its user says otherwise, a payload if
/// its user says so.
final class HvcOption {
    private enum Choice {
        ON,
        OFF
    }

    private final OptionSpec hvc =
            OptionSpec.builder("--hvc")
                    .paramLabel("on|off")
                    .type(Choice.class)
                    .description(
                            "Whether the guest has a virtio console, hvc0, which leads where the serial port"
                                    + " does and gets what is typed once it is used. Default: on for a kernel.")
                    .build();

    OptionSpec spec() {
        return hvc;
    }

    /// Gives each machine that `builder` builds what the option says.
    void attachTo(
            VmBuilder builder, boolean kernel, Function<VirtioDevice, DeviceFactory> transport) {
        @Nullable Choice choice = hvc.getValue();
        if (choice == null ? kernel : choice == Choice.ON) {
            builder.virtioConsole(transport);
        }
    }
}
