package org.kaval.machine;

import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// What a guest has written to its console. Any thread.
final class Transcript extends OutputStream {
    private final StringBuilder text = new StringBuilder(); // guarded by this

    @Override
    public synchronized void write(int b) {
        text.append((char) (b & 0xff));
        notifyAll();
    }

    @Override
    public synchronized void write(byte[] bytes, int offset, int length) {
        text.append(new String(bytes, offset, length, StandardCharsets.ISO_8859_1));
        notifyAll();
    }

    /// Waits until it contains `words`.
    ///
    /// @throws AssertionError if it does not within `limit`, with all that there is
    void await(String words, Duration limit) throws InterruptedException {
        await('"' + words + '"', () -> text.indexOf(words) >= 0, limit);
    }

    /// Waits until it contains something of that form.
    ///
    /// @throws AssertionError if it does not within `limit`, with all that there is
    void await(Pattern form, Duration limit) throws InterruptedException {
        await(form.pattern(), () -> form.matcher(text).find(), limit);
    }

    private synchronized void await(String what, BooleanSupplier isThere, Duration limit)
            throws InterruptedException {
        long end = System.nanoTime() + limit.toNanos();
        while (!isThere.getAsBoolean()) {
            long left = (end - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                throw new AssertionError("no %s in:%n%s".formatted(what, text));
            }
            wait(left);
        }
    }

    /// Whether it contains `words`.
    synchronized boolean contains(String words) {
        return text.indexOf(words) >= 0;
    }

    /// What it has, without a last line that is not whole yet.
    Stream<String> lines() {
        String all = toString();
        return all.substring(0, all.lastIndexOf('\n') + 1).lines();
    }

    /// The lines `name: value`, by name.
    Map<String, List<String>> facts() {
        return lines().map(line -> line.strip().split(": ", 2))
                .filter(parts -> parts.length == 2)
                .collect(
                        Collectors.groupingBy(
                                parts -> parts[0],
                                Collectors.mapping(
                                        parts -> parts[1].strip(), Collectors.toList())));
    }

    /// The values of the lines `name: value`.
    List<String> facts(String name) {
        return facts().getOrDefault(name, List.of());
    }

    /// The value of the one line `name: value`.
    String fact(String name) {
        List<String> values = facts(name);
        if (values.size() != 1) {
            throw new AssertionError("%s: %s in:%n%s".formatted(name, values, this));
        }
        return values.getFirst();
    }

    @Override
    public synchronized String toString() {
        return text.toString();
    }
}
