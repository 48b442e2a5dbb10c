package org.kaval.cli;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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

    private static final List<String> KEYS = List.of("cid", "path");
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
        Map<String, String> parts = split(value);
        long cid = cid(parts.get("cid"));
        Path path = path(parts.getOrDefault("path", ""));
        builder.device(machine ->
                transport.apply(VirtioVsock.open("virtio-vsock0", cid, path)).attach(machine));
    }

    /// The same value with a path that does not depend on the working directory.
    static String withAbsolutePath(String value) {
        var parts = new ArrayList<String>();
        split(value)
                .forEach((key, text) -> {
                    String same =
                            key.equals("path") ? path(text).toAbsolutePath().toString() : text;
                    parts.add(key + "=" + same.replace(",", ",,"));
                });
        return String.join(",", parts);
    }

    private static Map<String, String> split(String value) {
        Map<String, String> parts = new LinkedHashMap<>();
        for (String part : DiskSpec.split(value)) {
            int equals = part.indexOf('=');
            String key = equals < 0 ? "" : part.substring(0, equals);
            if (!KEYS.contains(key)) {
                throw new ConfigException(
                        "vsock", "'%s' is none of cid=N and path=PATH".formatted(part));
            }
            if (parts.put(key, part.substring(equals + 1)) != null) {
                throw new ConfigException("vsock." + key, "is given twice");
            }
        }
        return parts;
    }

    private static long cid(@Nullable String text) {
        if (text == null) {
            return VirtioVsock.MIN_CID;
        }
        long cid = NUMBER.matcher(text).matches() ? Long.parseLong(text) : -1;
        if (cid < VirtioVsock.MIN_CID || cid > VirtioVsock.MAX_CID) {
            throw new ConfigException(
                    "vsock.cid",
                    "'%s' is not a number from %d to %d"
                            .formatted(text, VirtioVsock.MIN_CID, VirtioVsock.MAX_CID));
        }
        return cid;
    }

    private static Path path(String text) {
        if (text.isEmpty()) {
            throw new ConfigException("vsock.path", "is missing");
        }
        try {
            return Path.of(text);
        } catch (InvalidPathException e) {
            throw new ConfigException("vsock.path", String.valueOf(e.getMessage()));
        }
    }
}
