package org.kaval.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.Function;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.devices.virtio.VirtioPorts;
import org.kaval.machine.ConfigException;
import org.kaval.machine.DeviceFactory;
import org.kaval.machine.VmBuilder;
import picocli.CommandLine.Model.OptionSpec;

/// The named ports of `kaval run`, each of which is a Unix socket of the host.
final class PortOptions {
    static final String NAME = "--port";

    static final String SOCKET = "socket";

    private static final String PORT_NAME = "name";

    private final OptionSpec ports =
            OptionSpec.builder(NAME)
                    .paramLabel("name=NAME,socket=PATH")
                    .type(List.class)
                    .auxiliaryTypes(String.class)
                    .initialValue(List.of())
                    .description(
                            "A port of the guest, /dev/virtio-ports/NAME in Linux, to which the Unix socket"
                                    + " PATH leads; several times for several.")
                    .build();

    OptionSpec spec() {
        return ports;
    }

    /// Gives each machine that `builder` builds what the options say. Of two that have the same
    /// name the later counts, at the place of the earlier: so a restored guest gets other sockets.
    void attachTo(VmBuilder builder, Function<VirtioDevice, DeviceFactory> transport) {
        List<String> values = ports.getValue();
        if (values.isEmpty()) {
            return;
        }
        SequencedMap<String, VirtioPorts.Port> named = new LinkedHashMap<>();
        for (int i = 0; i < values.size(); i++) {
            VirtioPorts.Port port = parse(values.get(i), "port[%d]".formatted(i));
            named.put(port.name(), port);
        }
        if (named.size() > VirtioPorts.MAX_PORTS) {
            throw new ConfigException(
                    "port",
                    "%d ports; there are %d at most"
                            .formatted(named.size(), VirtioPorts.MAX_PORTS));
        }
        List<VirtioPorts.Port> all = List.copyOf(named.values());
        builder.device(
                machine -> transport.apply(VirtioPorts.open("virtio-ports0", all)).attach(machine));
    }

    private static VirtioPorts.Port parse(String value, String where) {
        OptionValues values = OptionValues.parse(where, value, List.of(PORT_NAME, SOCKET));
        String name = values.get(PORT_NAME, "");
        if (!VirtioPorts.Port.isName(name)) {
            throw values.refused(
                    PORT_NAME, "'%s' is not 1 to 64 letters, digits and ._:@+-".formatted(name));
        }
        return new VirtioPorts.Port(name, values.path(SOCKET));
    }
}
