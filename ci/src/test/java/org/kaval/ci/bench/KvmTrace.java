package org.kaval.ci.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// Counts what KVM's trace points see, by a key, inside the kernel (`Documentation/trace/
/// histogram.rst`): all exits of all guests, those that user space never hears of, too. Needs root
/// and tracefs.
final class KvmTrace implements AutoCloseable {
    private static final Pattern ENTRY = Pattern.compile("\\{ (.*?) *\\} hitcount: +([0-9]+).*");

    private final Path trigger;
    private final Path histogram;
    private final String command;

    private KvmTrace(Path event, String keys) throws IOException {
        trigger = event.resolve("trigger");
        histogram = event.resolve("hist");
        command = "hist:keys=" + keys;
        Files.writeString(trigger, command);
    }

    /// Whether this host has what it takes.
    static boolean isPossible() {
        return Files.isWritable(events().resolve("kvm_exit/trigger"));
    }

    /// Starts to count.
    ///
    /// @param event `kvm_exit`
    /// @param keys by which fields of it, `exit_reason`
    static KvmTrace start(String event, String keys) throws IOException {
        return new KvmTrace(events().resolve(event), keys);
    }

    private static Path events() {
        return Path.of("/sys/kernel/debug/tracing/events/kvm");
    }

    /// What there was until now, the most frequent first: its keys as the kernel prints them.
    Map<String, Long> counts() throws IOException {
        try (Stream<String> lines = Files.lines(histogram)) {
            List<Matcher> entries =
                    lines.map(ENTRY::matcher).filter(Matcher::matches).toList().reversed();
            var counts = new LinkedHashMap<String, Long>();
            for (Matcher entry : entries) {
                counts.put(entry.group(1).replaceAll(" +", " "), Long.valueOf(entry.group(2)));
            }
            return counts;
        }
    }

    @Override
    public void close() throws IOException {
        Files.writeString(trigger, "!" + command);
    }
}
