package org.kaval.cli;

import java.text.MessageFormat;
import java.util.ResourceBundle;
import org.jspecify.annotations.Nullable;

/// Shows the program's log on standard error, a line per entry, from warnings on; with the system
/// property `kaval.log` set to the name of a level, from that level on.
public final class StderrLoggerFinder extends System.LoggerFinder {
    private final System.Logger.Level threshold =
            System.Logger.Level.valueOf(System.getProperty("kaval.log", "WARNING"));

    /// For the service loader.
    public StderrLoggerFinder() {}

    @Override
    public System.Logger getLogger(String name, Module module) {
        return new StderrLogger(name, threshold);
    }

    private record StderrLogger(String name, System.Logger.Level threshold)
            implements System.Logger {
        @Override
        public String getName() {
            return name;
        }

        @Override
        public boolean isLoggable(Level level) {
            return level.getSeverity() >= threshold.getSeverity();
        }

        @Override
        public void log(
                Level level,
                @Nullable ResourceBundle bundle,
                @Nullable String message,
                @Nullable Throwable thrown) {
            if (isLoggable(level)) {
                print(level, String.valueOf(message));
                if (thrown != null) {
                    thrown.printStackTrace();
                }
            }
        }

        @Override
        public void log(
                Level level,
                @Nullable ResourceBundle bundle,
                @Nullable String format,
                @Nullable Object @Nullable ... params) {
            if (isLoggable(level)) {
                boolean plain = params == null || params.length == 0;
                print(
                        level,
                        plain
                                ? String.valueOf(format)
                                : MessageFormat.format(String.valueOf(format), params));
            }
        }

        private static void print(Level level, String line) {
            System.err.println(
                    "kaval: " + level.getName().toLowerCase(java.util.Locale.ROOT) + ": " + line);
        }
    }
}
