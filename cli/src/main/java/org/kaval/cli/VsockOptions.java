package org.kaval.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.devices.virtio.VirtioVsock;
import org.kaval.machine.ConfigException;
import org.kaval.machine.DeviceFactory;
import org.kaval.machine.VmBuilder;
import picocli.CommandLine.Model.OptionSpec;

/// The sockets between the guest and the host of `kaval run`.
final class VsockOptions {
    static final String NAME = "--vsock";

    static final String PATH = "path";

    private static final List<String> KEYS = List.of("cid", PATH);
    private static final Pattern NUMBER = Pattern.compile("\\d{1,10}");

    private final OptionSpec vsock =
            OptionSpec.builder(NAME)
                    .paramLabel("[cid=N,]path=PATH")
                    .type(String.class)
                    .description(
                            "Sockets between guest and host, without a network: who connects to the Unix"
                                    + " socket PATH and writes 'CONNECT 7' reaches port 7 of the guest, and a"
                                    + " guest that connects to port 7 of context id 2 whoever listens at"
                                    + " PATH_7. The guest's own id is N. Default: 3.")
                    .build();

    OptionSpec spec() {
        return vsock;
    }

    /// Gives each machine that `builder` builds what the option says.
    void attachTo(VmBuilder builder, Function<VirtioDevice, DeviceFactory> transport) {
        @Nullable String value = vsock.getValue();
        if (value == null) {
            return;
        }
        OptionValues values = OptionValues.parse("vsock", value, KEYS);
        long cid = values.has("cid") ? cid(values.get("cid", "")) : VirtioVsock.MIN_CID;
        Path path = values.path(PATH);
        builder.device(machine ->
                transport.apply(VirtioVsock.open("virtio-vsock0", cid, path)).attach(machine));
    }

    private static long cid(String text) {
        long cid = NUMBER.matcher(text).matches() ? Long.parseLong(text) : -1;
        if (cid < VirtioVsock.MIN_CID || cid > VirtioVsock.MAX_CID) {
            throw new ConfigException(
                    "vsock.cid",
                    "'%s' is not a number from %d to %d"
                            .formatted(text, VirtioVsock.MIN_CID, VirtioVsock.MAX_CID));
        }
        return cid;
    }
}
