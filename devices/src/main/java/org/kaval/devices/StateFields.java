package org.kaval.devices;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// The state of a part of a machine, as fields with names, and what is done with them: they are
/// saved, or restored. A part describes itself once, for both:
///
/// ```java
/// index = state.number("index", index, 0, 127);
/// masked = state.flag("masked", masked);
/// state.fill("ram", ram);
/// ```
///
/// Each method is given the present value. Saving, it takes that down and returns it; restoring, it
/// returns what was saved, or the present value if an older snapshot has no such field. What is
/// restored has been checked against its range; a part checks the rest itself.
///
/// Confined to one thread.
public final class StateFields {
    private final String path;
    private final Map<String, Object> fields; // Long, Boolean, byte[], or a Map of these
    private final boolean restoring;
    private final long elapsedNanos;
    private final Map<String, StateFields> parts = new LinkedHashMap<>();
    private final TreeSet<String> unread = new TreeSet<>();

    private StateFields(
            String path, Map<String, Object> fields, boolean restoring, long elapsedNanos) {
        this.path = path;
        this.fields = fields;
        this.restoring = restoring;
        this.elapsedNanos = elapsedNanos;
        if (restoring) {
            unread.addAll(fields.keySet());
        }
    }

    /// Fields that are saved.
    public static StateFields saving() {
        return new StateFields("", new LinkedHashMap<>(), false, 0);
    }

    /// Fields that are restored.
    ///
    /// @param saved what {@link #saved} returned
    /// @param elapsedNanos how long ago that was, by a clock that everybody has: 0 at least
    public static StateFields restoring(Map<String, Object> saved, long elapsedNanos) {
        return new StateFields("", saved, true, Math.max(0, elapsedNanos));
    }

    /// What has been saved: values are {@link Long}, {@link Boolean}, `byte[]` and maps of these.
    public Map<String, Object> saved() {
        return Collections.unmodifiableMap(fields);
    }

    public boolean isRestoring() {
        return restoring;
    }

    /// How many nanoseconds have passed since the state was saved, by which what counts time has to
    /// be ahead; 0 while saving.
    public long elapsedNanos() {
        return elapsedNanos;
    }

    /// A number of any value.
    public long number(String name, long value) {
        return number(name, value, Long.MIN_VALUE, Long.MAX_VALUE);
    }

    /// A number from `least` to `most`.
    public long number(String name, long value, long least, long most) {
        if (!restoring) {
            fields.put(name, value);
            return value;
        }
        Object saved = take(name);
        if (saved == null) {
            return value;
        }
        if (!(saved instanceof Long number)) {
            throw notA("number", name);
        }
        if (number < least || number > most) {
            throw new StateException(
                    "%s%s is %d; from %d to %d is possible"
                            .formatted(path, name, number, least, most));
        }
        return number;
    }

    /// A number from `least` to `most`.
    public int number(String name, int value, int least, int most) {
        return (int) number(name, (long) value, least, most);
    }

    public boolean flag(String name, boolean value) {
        if (!restoring) {
            fields.put(name, value);
            return value;
        }
        Object saved = take(name);
        if (saved == null) {
            return value;
        }
        if (!(saved instanceof Boolean flag)) {
            throw notA("flag", name);
        }
        return flag;
    }

    /// Bytes, as many as there are.
    public byte[] bytes(String name, byte[] value) {
        if (!restoring) {
            fields.put(name, value.clone());
            return value;
        }
        Object saved = take(name);
        if (saved == null) {
            return value;
        }
        if (!(saved instanceof byte[] bytes)) {
            throw notA("string of bytes", name);
        }
        return bytes.clone();
    }

    /// Bytes of which there are always as many, which are restored in place.
    public void fill(String name, byte[] inPlace) {
        byte[] bytes = bytes(name, inPlace);
        if (bytes.length != inPlace.length) {
            throw new StateException(
                    "%s%s is %d bytes and has to be %d"
                            .formatted(path, name, bytes.length, inPlace.length));
        }
        System.arraycopy(bytes, 0, inPlace, 0, bytes.length);
    }

    /// A number that cannot change: what is restored has to have the same.
    ///
    /// @param what it is, for the message
    public void same(String name, long value, String what) {
        long saved = number(name, value);
        if (saved != value) {
            throw new StateException(
                    "%s is 0x%x, and was 0x%x when the snapshot was made"
                            .formatted(what, value, saved));
        }
    }

    /// The fields of a part, under a name of their own.
    public StateFields part(String name) {
        return parts.computeIfAbsent(name, this::makePart);
    }

    private StateFields makePart(String name) {
        Map<String, Object> inner;
        if (restoring) {
            Object saved = take(name);
            inner = saved == null ? Map.of() : mapOf(name, saved);
        } else {
            inner = new LinkedHashMap<>();
            fields.put(name, inner);
        }
        return new StateFields(path + name + ".", inner, restoring, elapsedNanos);
    }

    @SuppressWarnings("unchecked") // the keys of JSON are strings, and each value is looked at
    private Map<String, Object> mapOf(String name, Object saved) {
        if (!(saved instanceof Map<?, ?> map)) {
            throw notA("part", name);
        }
        return (Map<String, Object>) map;
    }

    /// Whether there is a part of that name; while saving, none but those that were asked for.
    public boolean hasPart(String name) {
        return fields.get(name) instanceof Map;
    }

    /// Checks that everything that was saved has been restored: the rest would be lost.
    public void checkAllTaken() {
        if (!unread.isEmpty()) {
            throw new StateException(
                    "this version knows no %s%s".formatted(path, unread.getFirst()));
        }
        parts.values().forEach(StateFields::checkAllTaken);
    }

    private @Nullable Object take(String name) {
        unread.remove(name);
        return fields.get(name);
    }

    private StateException notA(String kind, String name) {
        return new StateException("%s%s is no %s".formatted(path, name, kind));
    }
}
