package org.kaval.cli.control;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A JSON object, whose fields have the types that they should have.
///
/// @param values as the parser gives them
public record Fields(Map<String, ?> values) {
    /// Whether there is such a field, and not null.
    public boolean has(String name) {
        return values.get(name) != null;
    }

    /// @throws IllegalArgumentException if it is no number
    public double number(String name) {
        return get(name, Number.class).doubleValue();
    }

    /// @throws IllegalArgumentException if it is no number
    public long integer(String name) {
        return get(name, Number.class).longValue();
    }

    /// @throws IllegalArgumentException if it is none
    public boolean flag(String name) {
        return get(name, Boolean.class);
    }

    /// @throws IllegalArgumentException if it is none
    public String text(String name) {
        return get(name, String.class);
    }

    /// @throws IllegalArgumentException if it is no list
    public List<String> texts(String name) {
        return ((List<?>) get(name, List.class)).stream().map(String::valueOf).toList();
    }

    /// @throws IllegalArgumentException if it is no object
    public Fields object(String name) {
        var fields = new LinkedHashMap<String, @Nullable Object>();
        ((Map<?, ?>) get(name, Map.class))
                .forEach((key, value) -> fields.put(String.valueOf(key), value));
        return new Fields(fields);
    }

    private <T> T get(String name, Class<T> type) {
        Object value = values.get(name);
        if (!type.isInstance(value)) {
            throw new IllegalArgumentException(
                    "%s: %s, where %s is expected".formatted(name, value, type.getSimpleName()));
        }
        return type.cast(value);
    }
}
