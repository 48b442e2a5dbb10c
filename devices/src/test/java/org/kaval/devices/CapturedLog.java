package org.kaval.devices;

import java.text.MessageFormat;
import java.util.List;
import java.util.Map;
import java.util.ResourceBundle;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;

/// Keeps what one class logs, until it is closed; what the others log is dropped.
public final class CapturedLog implements AutoCloseable {
    private static final Map<String, CapturedLog> OPEN = new ConcurrentHashMap<>();

    private final List<String> lines = new CopyOnWriteArrayList<>();
    private final String name;

    public CapturedLog(Class<?> source) {
        name = source.getName();
        OPEN.put(name, this);
    }

    /// The messages so far.
    public List<String> lines() {
        return lines;
    }

    @Override
    public void close() {
        OPEN.remove(name);
    }

    /// Takes the place of the system's logging in this module's tests.
    public static final class Finder extends System.LoggerFinder {
        public Finder() {}

        @Override
        public System.Logger getLogger(String name, Module module) {
            return new CapturingLogger(name);
        }
    }

    private record CapturingLogger(String name) implements System.Logger {
        @Override
        public String getName() {
            return name;
        }

        @Override
        public boolean isLoggable(Level level) {
            return level.compareTo(Level.INFO) >= 0;
        }

        @Override
        public void log(
                Level level, @Nullable ResourceBundle bundle, String text, Throwable thrown) {
            log(level, bundle, text + ": " + thrown, new Object[0]);
        }

        @Override
        public void log(
                Level level,
                @Nullable ResourceBundle bundle,
                String format,
                @Nullable Object... parameters) {
            CapturedLog log = OPEN.get(name);
            if (log != null && isLoggable(level)) {
                log.lines.add(MessageFormat.format(format, parameters));
            }
        }
    }
}
