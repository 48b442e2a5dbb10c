package org.kaval.cli;

import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.kaval.devices.RateLimit;
import org.kaval.devices.virtio.VirtioNet;
import org.kaval.linux.Tap;
import org.kaval.machine.ConfigException;

/// The value of `--net`: what is at the other end, and `key=value` after it, with commas between.
///
/// @param where begins what is said of it
/// @param target name or path; empty for `user`
/// @param mtu 0 if nothing is said of it
/// @param pcap a path, or empty
/// @param vhost whether the host's kernel moves frames
record NetSpec(
        String where,
        Kind kind,
        String target,
        long mac,
        int queues,
        int mtu,
        RateLimit.Rate frames,
        RateLimit.Rate rate,
        String pcap,
        Vhost vhost) {
    /// What is at the other end.
    enum Kind {
        USER,
        TAP,
        BRIDGE,
        SOCKET
    }

    /// Whether the host's kernel moves frames.
    enum Vhost {
        ON,
        OFF,
        /// If it can.
        AUTO
    }

    private static final List<String> KEYS =
            List.of("mac", "queues", "mtu", "rate", "frames", "burst", "pcap", "vhost");
    private static final List<String> NOT_BY_VHOST = List.of("rate", "frames", "pcap");
    private static final Pattern MAC = Pattern.compile("\\p{XDigit}{2}(:\\p{XDigit}{2}){5}");
    private static final long LOCAL = 0x02_00_00_00_00_00L; // an address that nobody has bought

    /// @param index of the device, from 0
    static NetSpec parse(String text, int index) {
        return new Parser("net[%d]".formatted(index), text).parse();
    }

    /// The same text with paths that do not depend on the working directory.
    static String withAbsolutePaths(String text) {
        return OptionValues.withAbsolutePath(OptionValues.withAbsolutePath(text, "socket"), "pcap");
    }

    /// The text that this was parsed from with its address, which may have been drawn.
    String withAddress(String text) {
        if (OptionValues.split(text).stream().anyMatch(part -> part.startsWith("mac="))) {
            return text;
        }
        String address =
                IntStream.range(0, 6)
                        .mapToObj(i -> "%02x".formatted((mac >>> (40 - 8 * i)) & 0xff))
                        .collect(Collectors.joining(":"));
        return text + ",mac=" + address;
    }

    /// A path that is the value of `key`.
    Path path(String key, String value) {
        try {
            return Path.of(value);
        } catch (InvalidPathException e) {
            throw new ConfigException(where + "." + key, String.valueOf(e.getMessage()));
        }
    }

    private static final class Parser {
        private final String where;
        private final Kind kind;
        private final String target;
        private final OptionValues values;

        Parser(String where, String text) {
            this.where = where;
            this.values = new OptionValues(where);
            List<String> parts = OptionValues.split(text);
            String first = parts.getFirst();
            int equals = first.indexOf('=');
            String name = equals < 0 ? first : first.substring(0, equals);
            this.kind = kind(name);
            this.target = equals < 0 ? "" : first.substring(equals + 1);
            if (target.isEmpty() == (kind != Kind.USER)) {
                throw new ConfigException(
                        where, kind == Kind.USER ? "user has no value" : name + " has no value");
            }
            for (String part : parts.subList(1, parts.size())) {
                values.add(part, KEYS);
            }
        }

        private Kind kind(String name) {
            for (Kind each : Kind.values()) {
                if (each.name().toLowerCase(Locale.ROOT).equals(name)) {
                    return each;
                }
            }
            throw new ConfigException(
                    where, "'%s' is none of user, tap, bridge, socket".formatted(name));
        }

        NetSpec parse() {
            boolean isTap = kind == Kind.TAP || kind == Kind.BRIDGE;
            if (isTap
                    && (target.getBytes(StandardCharsets.UTF_8).length > Tap.MAX_NAME
                            || target.contains("/")
                            || target.contains("%"))) {
                throw new ConfigException(
                        where, "'%s' is no name of a network device".formatted(target));
            }
            int queues = range("queues", 1, 1, isTap ? VirtioNet.MAX_PAIRS : 1);
            int mtu = values.has("mtu") ? range("mtu", 0, VirtioNet.MIN_MTU, VirtioNet.MAX_MTU) : 0;
            BigDecimal burst = values.burst("rate", "frames");
            return new NetSpec(
                    where,
                    kind,
                    target,
                    mac(),
                    queues,
                    mtu,
                    values.rate("frames", burst, values::number),
                    values.rate("rate", burst, values::size),
                    values.get("pcap", ""),
                    vhost(isTap));
        }

        private Vhost vhost(boolean isTap) {
            boolean can = isTap && NOT_BY_VHOST.stream().noneMatch(values::has);
            return switch (values.get("vhost", "auto")) {
                case "auto" -> can ? Vhost.AUTO : Vhost.OFF;
                case "off" -> Vhost.OFF;
                case "on" -> {
                    if (!can) {
                        throw values.refused(
                                "vhost",
                                "goes with tap and bridge, without "
                                        + String.join(", ", NOT_BY_VHOST));
                    }
                    yield Vhost.ON;
                }
                case String other ->
                        throw values.refused(
                                "vhost", "'%s' is none of on, off and auto".formatted(other));
            };
        }

        private long mac() {
            if (!values.has("mac")) {
                return LOCAL | new SecureRandom().nextLong(1L << 40);
            }
            String text = values.get("mac", "");
            long mac = MAC.matcher(text).matches() ? Long.parseLong(text.replace(":", ""), 16) : 0;
            if (mac == 0 || (mac & (1L << 40)) != 0) {
                throw values.refused(
                        "mac",
                        "'%s' is not the address of a device, as 02:12:34:56:78:9a"
                                .formatted(text));
            }
            return mac;
        }

        private int range(String key, int otherwise, int least, int most) {
            if (!values.has(key)) {
                return otherwise;
            }
            long number = values.number(key);
            if (number < least || number > most) {
                throw values.refused(
                        key, "is %d; %d to %d are possible".formatted(number, least, most));
            }
            return (int) number;
        }
    }
}
