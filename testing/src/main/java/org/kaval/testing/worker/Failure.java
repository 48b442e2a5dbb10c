package org.kaval.testing.worker;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.opentest4j.AssertionFailedError;
import org.opentest4j.TestAbortedException;
import org.opentest4j.ValueWrapper;

/// A throwable as strings, and back. What comes back has the message, stack trace, causes and
/// suppressed ones of the original, and is of its class where reports ask for that: an {@link
/// AssertionFailedError} with its expected and actual values, a {@link TestAbortedException}; else
/// it is an {@link AssertionError} or an {@link Exception} that calls itself as the original.
public final class Failure {
    private static final int FRAMES = 512;
    private static final int DEPTH = 16;

    private Failure() {}

    /// For {@link #decode}.
    public static List<String> encode(@Nullable Throwable throwable) {
        var strings = new ArrayList<String>();
        encode(throwable, strings, Collections.newSetFromMap(new IdentityHashMap<>()), 0);
        return strings;
    }

    private static void encode(
            @Nullable Throwable throwable, List<String> to, Set<Throwable> seen, int depth) {
        if (throwable == null || depth > DEPTH || !seen.add(throwable)) {
            to.add("");
            return;
        }
        to.add(kind(throwable));
        to.add(text(throwable));
        to.add(throwable.getMessage() == null ? "" : "m" + throwable.getMessage());
        if (throwable instanceof AssertionFailedError error) {
            to.add(encode(error.getExpected()));
            to.add(encode(error.getActual()));
        } else {
            to.add("");
            to.add("");
        }
        StackTraceElement[] frames = throwable.getStackTrace();
        int count = Math.min(frames.length, FRAMES);
        to.add(Integer.toString(count));
        for (int i = 0; i < count; i++) {
            to.add(frames[i].getClassName());
            to.add(frames[i].getMethodName());
            to.add(String.valueOf(frames[i].getFileName()));
            to.add(Integer.toString(frames[i].getLineNumber()));
        }
        encode(throwable.getCause(), to, seen, depth + 1);
        Throwable[] suppressed = throwable.getSuppressed();
        to.add(Integer.toString(suppressed.length));
        for (Throwable one : suppressed) {
            encode(one, to, seen, depth + 1);
        }
    }

    private static String kind(Throwable throwable) {
        return switch (throwable) {
            case AssertionFailedError _ -> "assertion-failed";
            case TestAbortedException _ -> "aborted";
            case AssertionError _ -> "assertion";
            default -> "other";
        };
    }

    /// A test's throwable may throw when asked.
    private static String text(Throwable throwable) {
        try {
            return throwable.toString();
        } catch (RuntimeException e) {
            return throwable.getClass().getName();
        }
    }

    private static String encode(@Nullable ValueWrapper value) {
        return value == null ? "" : "v" + value.getStringRepresentation();
    }

    /// @return null if there was none
    public static @Nullable Throwable decode(List<String> strings) {
        return decode(new ArrayDeque<>(strings));
    }

    private static @Nullable Throwable decode(Deque<String> from) {
        String kind = from.remove();
        if (kind.isEmpty()) {
            return null;
        }
        String text = from.remove();
        String message = from.remove();
        String expected = from.remove();
        String actual = from.remove();
        var frames = new StackTraceElement[Integer.parseInt(from.remove())];
        for (int i = 0; i < frames.length; i++) {
            frames[i] =
                    new StackTraceElement(
                            from.remove(),
                            from.remove(),
                            from.remove(),
                            Integer.parseInt(from.remove()));
        }
        Throwable cause = decode(from);
        Throwable throwable =
                switch (kind) {
                    case "assertion-failed" ->
                            expected.isEmpty() && actual.isEmpty()
                                    ? new AssertionFailedError(value(message), cause)
                                    : new AssertionFailedError(
                                            value(message), value(expected), value(actual), cause);
                    case "aborted" -> new TestAbortedException(value(message), cause);
                    case "assertion" -> new NestedAssertionError(text, value(message), cause);
                    default -> new NestedException(text, value(message), cause);
                };
        throwable.setStackTrace(frames);
        for (int i = Integer.parseInt(from.remove()); i > 0; i--) {
            Throwable suppressed = decode(from);
            if (suppressed != null) {
                throwable.addSuppressed(suppressed);
            }
        }
        return throwable;
    }

    private static @Nullable String value(String encoded) {
        return encoded.isEmpty() ? null : encoded.substring(1);
    }

    @SuppressWarnings("OverrideThrowableToString") // it has the original's message as well
    private static final class NestedAssertionError extends AssertionError {
        private static final long serialVersionUID = 1;
        private final String text;

        NestedAssertionError(String text, @Nullable String message, @Nullable Throwable cause) {
            super(message, cause);
            this.text = text;
        }

        @Override
        public String toString() {
            return text;
        }
    }

    @SuppressWarnings("OverrideThrowableToString") // it has the original's message as well
    private static final class NestedException extends Exception {
        private static final long serialVersionUID = 1;
        private final String text;

        NestedException(String text, @Nullable String message, @Nullable Throwable cause) {
            super(message, cause);
            this.text = text;
        }

        @Override
        public String toString() {
            return text;
        }
    }
}
