package org.kaval.cli;

import java.math.BigDecimal;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToLongFunction;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.kaval.devices.RateLimit;
import org.kaval.machine.ConfigException;
import picocli.CommandLine.TypeConversionException;

/// The values in an option with keys, as `--disk` and `--net` are, by these keys: `key=value`, with
/// commas between; a comma that belongs to a value is written twice. `where` begins what is said of
/// them.
final class OptionValues {
    private static final Pattern NUMBER = Pattern.compile("\\d{1,9}");
    private static final Pattern SECONDS = Pattern.compile("\\d{1,9}(\\.\\d{1,9})?");

    /// One second's worth may pass at once.
    private static final BigDecimal DEFAULT_BURST = BigDecimal.ONE;

    private final String where;
    private final Map<String, String> values = new LinkedHashMap<>();

    OptionValues(String where) {
        this.where = where;
    }

    /// Takes a value that is nothing but `key=value` with these keys.
    static OptionValues parse(String where, String text, List<String> keys) {
        var values = new OptionValues(where);
        split(text).forEach(part -> values.add(part, keys));
        return values;
    }

    /// The parts of a value.
    static List<String> split(String text) {
        var parts = new ArrayList<String>();
        var part = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) != ',') {
                part.append(text.charAt(i));
            } else if (text.startsWith(",,", i)) {
                part.append(text.charAt(i++));
            } else {
                parts.add(part.toString());
                part.setLength(0);
            }
        }
        parts.add(part.toString());
        return parts;
    }

    /// The value of these parts.
    static String join(List<String> parts) {
        return parts.stream().map(part -> part.replace(",", ",,")).collect(Collectors.joining(","));
    }

    /// The same value with a path, that of `key`, that does not depend on the working directory.
    static String withAbsolutePath(String text, String key) {
        String begin = key + "=";
        return join(
                split(text).stream()
                        .map(part ->
                                part.startsWith(begin)
                                        ? begin
                                                + Path.of(part.substring(begin.length()))
                                                        .toAbsolutePath()
                                        : part)
                        .toList());
    }

    /// @param part is refused unless it is `key=value` with one of these keys
    void add(String part, List<String> keys) {
        int equals = part.indexOf('=');
        if (equals < 0 || !keys.contains(part.substring(0, equals))) {
            throw unknown(part, keys);
        }
        put(part.substring(0, equals), part.substring(equals + 1));
    }

    ConfigException unknown(String part, List<String> known) {
        return new ConfigException(
                where, "'%s' is none of %s".formatted(part, String.join(", ", known)));
    }

    void put(String key, String value) {
        if (values.put(key, value) != null) {
            throw refused(key, "is given twice");
        }
    }

    boolean isEmpty() {
        return values.isEmpty();
    }

    boolean has(String key) {
        return values.containsKey(key);
    }

    String get(String key, String otherwise) {
        return values.getOrDefault(key, otherwise);
    }

    Path path(String key) {
        String text = get(key, "");
        if (text.isEmpty()) {
            throw refused(key, "is missing");
        }
        try {
            return Path.of(text);
        } catch (InvalidPathException e) {
            throw refused(key, String.valueOf(e.getMessage()));
        }
    }

    long number(String key) {
        String text = get(key, "");
        if (!NUMBER.matcher(text).matches()) {
            throw refused(key, "'%s' is not a number up to 999999999".formatted(text));
        }
        return Long.parseLong(text);
    }

    long size(String key) {
        try {
            return ByteSize.parse(get(key, "")).bytes();
        } catch (TypeConversionException e) {
            throw refused(key, String.valueOf(e.getMessage()));
        }
    }

    /// How many seconds' worth may pass at once.
    ///
    /// @param first one of the two keys of which at least one has to be there
    BigDecimal burst(String first, String second) {
        if (!has("burst")) {
            return DEFAULT_BURST;
        }
        if (!has(first) && !has(second)) {
            throw refused("burst", "goes with %s or %s".formatted(first, second));
        }
        String text = get("burst", "");
        if (!SECONDS.matcher(text).matches()) {
            throw refused("burst", "'%s' is not a number of seconds".formatted(text));
        }
        return new BigDecimal(text);
    }

    RateLimit.Rate rate(String key, BigDecimal burst, ToLongFunction<String> perSecond) {
        if (!has(key)) {
            return RateLimit.Rate.UNLIMITED;
        }
        long rate = perSecond.applyAsLong(key);
        if (rate == 0) {
            throw refused(key, "is 0: nothing would ever pass");
        }
        BigDecimal atOnce = burst.multiply(BigDecimal.valueOf(rate));
        return new RateLimit.Rate(
                rate,
                atOnce.max(BigDecimal.ONE).min(BigDecimal.valueOf(Long.MAX_VALUE)).longValue());
    }

    ConfigException refused(String key, String problem) {
        return new ConfigException(where + "." + key, problem);
    }
}
