package org.kaval.guests;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// A program of the host, and how it is run: with messages in English, nothing on its standard
/// input, a time limit, and killed with its children when that is over or the thread interrupted.
///
/// Immutable; any thread.
final class Tool {
    /// Of output that is kept; what is said beyond is read and forgotten.
    private static final int OUTPUT_LIMIT = 16 << 20;

    /// What programs say after the line that says why.
    private static final Pattern EMPTY =
            Pattern.compile(
                    "returned error exit status|Exiting with failure status|was killed by signal"
                            + "|mmdebstrap failed to run|^I: |^W: "
                            + "|Some index files failed to download|Unable to fetch some archives");

    /// An ordinary user's PATH lacks the directories that some are in.
    private static final List<String> SYSTEM_DIRECTORIES =
            List.of("/usr/sbin", "/sbin", "/usr/bin", "/bin");

    private final String name;
    private final String debianPackage;
    private final Duration limit;
    private final Map<String, String> environment;
    private final @Nullable Path directory;
    private final Duration grace;

    private Tool(
            String name,
            String debianPackage,
            Duration limit,
            Map<String, String> environment,
            @Nullable Path directory,
            Duration grace) {
        this.name = name;
        this.debianPackage = debianPackage;
        this.limit = limit;
        this.environment = Map.copyOf(environment);
        this.directory = directory;
        this.grace = grace;
    }

    /// @param name as the shell knows it, or an absolute path
    /// @param debianPackage that has it
    static Tool of(String name, String debianPackage) {
        return new Tool(name, debianPackage, Duration.ofMinutes(5), Map.of(), null, Duration.ZERO);
    }

    /// The same with a time limit other than five minutes.
    Tool within(Duration newLimit) {
        return new Tool(name, debianPackage, newLimit, environment, directory, grace);
    }

    /// The same with one more environment variable.
    Tool with(String variable, String value) {
        Map<String, String> more = new LinkedHashMap<>(environment);
        more.put(variable, value);
        return new Tool(name, debianPackage, limit, more, directory, grace);
    }

    /// The same in a working directory of its own.
    Tool in(Path newDirectory) {
        return new Tool(name, debianPackage, limit, environment, newDirectory, grace);
    }

    /// The same that has some time to put away its things (SIGTERM) before it is killed.
    Tool withGrace(Duration newGrace) {
        return new Tool(name, debianPackage, limit, environment, directory, newGrace);
    }

    /// Runs it to its end.
    ///
    /// @param purpose for the message: "to unpack x.deb"
    /// @return its standard output
    /// @throws ToolException if it isn't installed, fails, or takes too long
    String run(String purpose, String... arguments) throws IOException, InterruptedException {
        return run(purpose, List.of(arguments));
    }

    /// The same.
    String run(String purpose, List<String> arguments) throws IOException, InterruptedException {
        var builder =
                new ProcessBuilder(
                        Stream.concat(Stream.of(find(purpose).toString()), arguments.stream())
                                .toList());
        builder.redirectInput(Path.of("/dev/null").toFile());
        builder.environment().put("LC_ALL", "C");
        builder.environment().putAll(environment);
        if (directory != null) {
            builder.directory(directory.toFile());
        }
        Process process = builder.start();
        try (InputStream out = process.getInputStream();
                InputStream err = process.getErrorStream()) {
            CompletableFuture<String> output = read(out);
            CompletableFuture<String> errors = read(err);
            if (!process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS)) {
                throw failure(purpose, "not done after " + limit.toSeconds() + " s");
            }
            if (process.exitValue() != 0) {
                String said = lastLine(await(purpose, errors));
                throw failure(
                        purpose, said.isEmpty() ? "exit status " + process.exitValue() : said);
            }
            return await(purpose, output);
        } finally {
            end(process);
        }
    }

    /// All that it wrote, which is at hand when it has ended, unless a child of its lives on.
    private String await(String purpose, CompletableFuture<String> text)
            throws IOException, InterruptedException {
        try {
            return text.get(limit.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            throw failure(purpose, "it left a child that holds its output open");
        } catch (ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }

    private Path find(String purpose) throws ToolException {
        if (name.startsWith("/") && Files.isExecutable(Path.of(name))) {
            return Path.of(name);
        }
        String path = System.getenv().getOrDefault("PATH", "");
        return Stream.concat(Stream.of(path.split(":")), SYSTEM_DIRECTORIES.stream())
                .filter(candidate -> candidate.startsWith("/"))
                .map(candidate -> Path.of(candidate, name))
                .filter(Files::isExecutable)
                .findFirst()
                .orElseThrow(() ->
                        failure(
                                purpose,
                                "not installed (on Debian: apt install %s)"
                                        .formatted(debianPackage)));
    }

    private ToolException failure(String purpose, String reason) {
        return new ToolException("%s, needed %s: %s".formatted(name, purpose, reason));
    }

    private void end(Process process) throws InterruptedException {
        try {
            if (!grace.isZero() && process.isAlive()) {
                process.destroy();
                process.waitFor(grace.toMillis(), TimeUnit.MILLISECONDS);
            }
        } finally {
            kill(process);
        }
    }

    private static void kill(Process process) {
        List<ProcessHandle> children = process.descendants().toList();
        process.destroyForcibly();
        children.forEach(ProcessHandle::destroyForcibly);
    }

    private static CompletableFuture<String> read(InputStream stream) {
        var done = new CompletableFuture<String>();
        Thread.ofVirtual().start(() -> done.complete(readAll(stream)));
        return done;
    }

    private static String readAll(InputStream stream) {
        var kept = new ByteArrayOutputStream();
        byte[] buffer = new byte[8192];
        try {
            for (int count = stream.read(buffer); count >= 0; count = stream.read(buffer)) {
                kept.write(buffer, 0, Math.min(count, OUTPUT_LIMIT - kept.size()));
            }
        } catch (IOException e) {
            // Closed by run(), which has given it up.
        }
        return kept.toString(StandardCharsets.UTF_8);
    }

    /// The last line that says something, without the program's own name before it.
    private String lastLine(String errors) {
        List<String> lines = errors.lines().map(String::strip).filter(s -> !s.isEmpty()).toList();
        String last = lines.isEmpty() ? "" : lines.getLast();
        String line =
                lines.stream().filter(s -> !EMPTY.matcher(s).find()).reduce(last, (_, s) -> s);
        return line.replaceFirst("^(E|" + Pattern.quote(name) + "): ", "");
    }
}
