package org.kaval.guests;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.format.DateTimeParseException;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// apt with package lists of its own, in a directory that an ordinary user may write: nothing of
/// the system is changed, and what the system has installed plays no part.
///
/// Of the system's configuration it takes where packages come from and how they are fetched
/// (`Acquire::…`: proxies, for instance), but no hook.
///
/// One call at a time, of all processes; any thread.
final class Apt {
    private static final Logger LOG = System.getLogger(Apt.class.getName());

    /// Lists are fetched again after as long, and after a failure.
    private static final Duration FRESH = Duration.ofDays(1), RETRY = Duration.ofMinutes(10);

    private static final Duration LIMIT = Duration.ofMinutes(15);
    private static final Pattern DEPENDS = Pattern.compile(" *\\|?Depends: ([^ <>]+)");

    private final Path directory;
    private final AptSources sources;
    private final InstantSource clock;

    /// @param directory for the lists, which exists
    Apt(Path directory, AptSources sources, InstantSource clock) {
        this.directory = directory;
        this.sources = sources;
        this.clock = clock;
    }

    /// The version of package `name` that would be installed.
    Deb candidate(String name) throws IOException, InterruptedException {
        return asking(() ->
                tool("apt-get")
                        .run("to find package " + name, "--print-uris", "download", name)
                        .lines()
                        .map(Deb::ofUriLine)
                        .flatMap(Optional::stream)
                        .filter(deb -> deb.name().equals(name))
                        .findFirst()
                        .orElseThrow(() -> new IOException("no package " + name)));
    }

    /// The packages `names` and all that they need, as a system with nothing installed would get
    /// them, without what is only recommended.
    List<Deb> closure(List<String> names) throws IOException, InterruptedException {
        String purpose = "to find what %s needs".formatted(String.join(", ", names));
        List<String> arguments = Stream.concat(Stream.of("-s", "install"), names.stream()).toList();
        return asking(() -> {
            List<Deb> debs =
                    tool("apt-get")
                            .run(purpose, arguments)
                            .lines()
                            .map(Deb::ofInstallLine)
                            .flatMap(Optional::stream)
                            .toList();
            Set<String> found = debs.stream().map(Deb::name).collect(Collectors.toSet());
            if (!found.containsAll(names)) { // a virtual package, for instance
                throw new IOException(
                        "apt-get, needed %s: takes others for them: %s"
                                .formatted(purpose, String.join(", ", found)));
            }
            return debs;
        });
    }

    /// What package `name` depends on, in the order of its `Depends:`.
    List<String> dependencies(String name) throws IOException, InterruptedException {
        return asking(() ->
                tool("apt-cache")
                        .run("to find " + name, "depends", "--important", name)
                        .lines()
                        .map(DEPENDS::matcher)
                        .filter(Matcher::matches)
                        .map(matcher -> matcher.group(1))
                        .toList());
    }

    /// Fetches the files of `debs` into `target`; apt checks their sums.
    void download(List<Deb> debs, Path target) throws IOException, InterruptedException {
        try (CacheLock.Held _ = lock()) {
            String what = debs.size() == 1 ? debs.getFirst().fileName() : debs.size() + " packages";
            tool("apt-get")
                    .in(target)
                    .run(
                            "to download " + what,
                            Stream.concat(
                                            Stream.of("-q", "download"),
                                            debs.stream().map(Deb::selector))
                                    .toList());
        }
    }

    /// Fetches the lists, though they may be fresh.
    ///
    /// @return whether they could be fetched
    boolean refresh() throws IOException, InterruptedException {
        try (CacheLock.Held _ = lock()) {
            configure();
            return update() == null;
        }
    }

    private interface Question<T> {
        T ask() throws IOException, InterruptedException;
    }

    /// Asks the lists, which are fetched before if that is due, or if they do not have the answer.
    private <T> T asking(Question<T> question) throws IOException, InterruptedException {
        try (CacheLock.Held _ = lock()) {
            configure();
            boolean fetched = isDue();
            IOException offline = fetched ? update() : null;
            try {
                return question.ask();
            } catch (IOException unknown) {
                if (!fetched) {
                    offline = update();
                    if (offline == null) {
                        return question.ask();
                    }
                }
                if (offline == null) {
                    throw unknown;
                }
                throw new IOException(
                        unknown.getMessage() + "; and " + offline.getMessage(), unknown);
            }
        }
    }

    private @Nullable IOException update() throws IOException, InterruptedException {
        IOException problem = null;
        try {
            tool("apt-get")
                    .run(
                            "to fetch the lists of packages",
                            "-q",
                            "-o",
                            "APT::Update::Error-Mode=any", // else success, offline
                            "update");
        } catch (ToolException e) {
            LOG.log(Level.WARNING, e.getMessage());
            problem = e;
        }
        Instant next = clock.instant().plus(problem == null ? FRESH : RETRY);
        write("next-update", next.toString());
        return problem;
    }

    private boolean isDue() {
        try {
            Instant now = clock.instant();
            Instant next = Instant.parse(Files.readString(directory.resolve("next-update")));
            return !now.isBefore(next) || next.isAfter(now.plus(FRESH)); // the clock was set back
        } catch (IOException | DateTimeParseException e) {
            return true;
        }
    }

    private CacheLock.Held lock() throws IOException, InterruptedException {
        return CacheLock.of(directory.toRealPath().resolve("lock")).acquire();
    }

    private Tool tool(String name) {
        return Tool.of(name, "apt")
                .within(LIMIT)
                .with("APT_CONFIG", directory.resolve("apt.conf").toString())
                .in(directory);
    }

    /// Says in a file, which apt reads first, that it should read no other, and where all is.
    private void configure() throws IOException, InterruptedException {
        if (directory.toString().chars().anyMatch(c -> c == '"' || c == '\\' || c < ' ')) {
            throw new IOException("apt can't work in a directory of this name: " + directory);
        }
        Files.createDirectories(directory.resolve("state/lists/partial"));
        Files.createDirectories(directory.resolve("cache/archives/partial"));
        write("status", "");
        String acquire =
                Tool.of("apt-config", "apt")
                        .run("to read how packages are fetched", "dump")
                        .lines()
                        .filter(line -> line.startsWith("Acquire::"))
                        .filter(line -> !line.matches("Acquire::(Languages|IndexTargets).*"))
                        .collect(Collectors.joining("\n"));
        write(
                "apt.conf",
                """
                %s
                Dir::Etc::main "/dev/null";
                Dir::Etc::parts "/dev/null";
                Dir::State "%2$s/state";
                Dir::State::status "%2$s/status";
                Dir::Cache "%2$s/cache";
                Dir::Log "%2$s";
                APT::Sandbox::User "";
                APT::Install-Recommends "false";
                Acquire::Languages "none";
                Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
                Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
                Acquire::Retries "3";
                Acquire::http::Timeout "30";
                Acquire::https::Timeout "30";
                %3$s
                """
                        .formatted(acquire, directory, sources.configuration(directory)));
        write("sources.list", sources.list());
    }

    private void write(String name, String text) throws IOException {
        Path file = directory.resolve(name);
        Path temporary = directory.resolve(name + ".new");
        try {
            Files.writeString(temporary, text);
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new IOException("cannot write %s: %s".formatted(file, Problem.line(e)), e);
        }
    }
}
