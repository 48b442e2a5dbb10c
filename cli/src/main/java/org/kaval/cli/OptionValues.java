package org.kaval.cli;

import java.math.BigDecimal;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.ToLongFunction;
import java.util.regex.Pattern;
import org.kaval.devices.RateLimit;
import org.kaval.machine.ConfigException;
import picocli.CommandLine.TypeConversionException;

/// The values in an option with keys, as `--disk` and `--net` are, by these keys; `where` begins
/// what is said of them.
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
