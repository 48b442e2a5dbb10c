package org.kaval.cli;

import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/// A size as a person writes it: `512M`, `2G`, `64MiB`, `1048576`. K, M, G and T are powers of
/// 1024.
///
/// @param bytes not negative
record ByteSize(long bytes) {
    private static final Pattern FORM = Pattern.compile("(\\d+)([KMGT]?)(I?B)?");
    private static final Map<String, Integer> SHIFTS =
            Map.of("", 0, "K", 10, "M", 20, "G", 30, "T", 40);

    static ByteSize parse(String text) {
        Matcher form = FORM.matcher(text.strip().toUpperCase(Locale.ROOT));
        if (form.matches()) {
            try {
                long count = Long.parseLong(form.group(1));
                long unit = 1L << SHIFTS.getOrDefault(form.group(2), 0);
                return new ByteSize(Math.multiplyExact(count, unit));
            } catch (NumberFormatException | ArithmeticException e) {
                throw new TypeConversionException("'%s' is too large a size".formatted(text));
            }
        }
        throw new TypeConversionException(
                "'%s' is not a size such as 512M, 2G or 1048576".formatted(text));
    }

    /// Digits alone. Picocli asks for it at each start, where a record's own costs milliseconds.
    @Override
    public String toString() {
        return Long.toString(bytes);
    }

    /// For picocli.
    static final class Converter implements ITypeConverter<ByteSize> {
        @Override
        public ByteSize convert(String text) {
            return parse(text);
        }
    }
}
