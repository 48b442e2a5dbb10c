package org.kaval.cli;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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

    private static final String PORT_NAME = "name";
    private static final String SOCKET = "socket";

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
        Map<String, String> parts = split(value, where);
        String name = parts.getOrDefault(PORT_NAME, "");
        if (!VirtioPorts.Port.isName(name)) {
            throw new ConfigException(
                    where + ".name",
                    "'%s' is not 1 to 64 letters, digits and ._:@+-".formatted(name));
        }
        return new VirtioPorts.Port(name, path(parts.getOrDefault(SOCKET, ""), where));
    }

    /// The same value with a path that does not depend on the working directory.
    static String withAbsolutePath(String value) {
        var parts = new ArrayList<String>();
        split(value, "port")
                .forEach((key, text) -> {
                    String same =
                            key.equals(SOCKET)
                                    ? path(text, "port").toAbsolutePath().toString()
                                    : text;
                    parts.add(key + "=" + same.replace(",", ",,"));
                });
        return String.join(",", parts);
    }

    private static Map<String, String> split(String value, String where) {
        Map<String, String> parts = new LinkedHashMap<>();
        for (String part : DiskSpec.split(value)) {
            int equals = part.indexOf('=');
            String key = equals < 0 ? "" : part.substring(0, equals);
            if (!key.equals(PORT_NAME) && !key.equals(SOCKET)) {
                throw new ConfigException(
                        where, "'%s' is none of name=NAME and socket=PATH".formatted(part));
            }
            if (parts.put(key, part.substring(equals + 1)) != null) {
                throw new ConfigException(where + "." + key, "is given twice");
            }
        }
        return parts;
    }

    private static Path path(String text, String where) {
        if (text.isEmpty()) {
            throw new ConfigException(where + ".socket", "is missing");
        }
        try {
            return Path.of(text);
        } catch (InvalidPathException e) {
            throw new ConfigException(where + ".socket", String.valueOf(e.getMessage()));
        }
    }
}
