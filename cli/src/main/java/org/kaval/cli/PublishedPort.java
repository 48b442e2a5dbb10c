package org.kaval.cli;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.kaval.devices.net.Passt;
import org.kaval.machine.ConfigException;

/// The value of `--publish`: a port of the host's that leads to one of the guest's.
record PublishedPort(Passt.Port port) {
    private static final Pattern FORM =
            Pattern.compile(
                    "(?:\\[?([0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*?)\\]?:)?(\\d{1,5}):(\\d{1,5})(?:/(tcp|udp))?");

    static PublishedPort parse(String text) {
        Matcher matcher = FORM.matcher(text);
        if (!matcher.matches()) {
            throw new ConfigException(
                    "publish",
                    "'%s' is not [ADDRESS:]PORT:GUESTPORT, with /udp behind it or not"
                            .formatted(text));
        }
        try {
            return new PublishedPort(
                    new Passt.Port(
                            matcher.group(1) == null ? "" : matcher.group(1),
                            Integer.parseInt(matcher.group(2)),
                            Integer.parseInt(matcher.group(3)),
                            "udp".equals(matcher.group(4))));
        } catch (IllegalArgumentException e) {
            throw new ConfigException("publish", String.valueOf(e.getMessage()));
        }
    }
}
