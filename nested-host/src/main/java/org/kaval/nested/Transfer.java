package org.kaval.nested;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/// Copies files into and out of a nested host: a file through `cat`, a folder through `tar`, on
/// both sides.
final class Transfer {
    private static final Duration LIMIT = Duration.ofMinutes(10);

    private final NestedHost host;

    Transfer(NestedHost host) {
        this.host = host;
    }

    /// A command line for the shell there, in which the arguments are `$1` and so on.
    static List<String> shell(String script, String... arguments) {
        var command = new ArrayList<String>(List.of("sh", "-c", script, "sh"));
        command.addAll(List.of(arguments));
        return command;
    }

    void in(Path source, String target) throws IOException {
        boolean folder = Files.isDirectory(source);
        String mode = Files.isExecutable(source) ? "755" : "644";
        String script =
                folder
                        ? "mkdir -p \"$1\" && tar -C \"$1\" -xf -"
                        : "mkdir -p \"${1%/*}/\" && cat >\"$1\" && chmod $2 \"$1\"";
        var errors = new ByteArrayOutputStream();
        NestedProcess process =
                host.exec(shell(script, target, mode), OutputStream.nullOutputStream(), errors);
        try (OutputStream input = process.input()) {
            if (folder) {
                Process tar = tar("-C", source.toString(), "-cf", "-", ".");
                tar.getInputStream().transferTo(input);
                check(tar, source);
            } else {
                try (InputStream in = Files.newInputStream(source)) {
                    in.transferTo(input);
                }
            }
        }
        check(process, "copy of %s into the nested host".formatted(source), errors);
    }

    /// Many at once, each to its own path there.
    void in(Collection<Path> sources) throws IOException {
        if (sources.isEmpty()) {
            return;
        }
        var arguments = new ArrayList<String>(List.of("-C", "/", "-chf", "-", "--"));
        for (Path source : sources) {
            arguments.add(source.toAbsolutePath().toString().substring(1));
        }
        var errors = new ByteArrayOutputStream();
        NestedProcess process =
                host.exec(
                        List.of("tar", "-C", "/", "-xf", "-"),
                        OutputStream.nullOutputStream(),
                        errors);
        try (OutputStream input = process.input()) {
            Process tar = tar(arguments.toArray(String[]::new));
            tar.getInputStream().transferTo(input);
            check(tar, sources.iterator().next());
        }
        check(process, "copy of %s into the nested host".formatted(sources), errors);
    }

    void out(String source, Path target) throws IOException {
        if (Files.exists(target)) {
            throw new FileAlreadyExistsException(target.toString());
        }
        Path parent = target.toAbsolutePath().getParent();
        Path folder = Files.createTempDirectory(parent, ".kaval-copy-");
        try {
            Path copy = folder.resolve("copy");
            if (isFolder(source)) {
                Files.createDirectory(copy);
                Process tar = tar("-C", copy.toString(), "-xf", "-");
                try (OutputStream sink = tar.getOutputStream()) {
                    fetch(source, "tar -C \"$1\" -cf - .", sink);
                }
                check(tar, target);
            } else {
                try (OutputStream sink = Files.newOutputStream(copy)) {
                    fetch(source, "cat \"$1\"", sink);
                }
            }
            Files.move(copy, target, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            delete(folder);
        }
    }

    private boolean isFolder(String source) throws IOException {
        var errors = new ByteArrayOutputStream();
        return host.exec(shell("test -d \"$1\"", source), OutputStream.nullOutputStream(), errors)
                        .await(LIMIT)
                == 0;
    }

    private void fetch(String source, String script, OutputStream sink) throws IOException {
        var errors = new ByteArrayOutputStream();
        NestedProcess process = host.exec(shell(script, source), sink, errors);
        check(process, "copy of %s from the nested host".formatted(source), errors);
    }

    private static void check(NestedProcess process, String what, ByteArrayOutputStream errors)
            throws IOException {
        int status = process.await(LIMIT);
        if (status != 0) {
            throw new NestedHostException(
                    "%s: %s"
                            .formatted(
                                    what,
                                    errors.toString(StandardCharsets.UTF_8)
                                            .strip()
                                            .replace('\n', ' ')));
        }
    }

    /// Its error output is this process's.
    private static Process tar(String... arguments) throws IOException {
        var command = new ArrayList<String>(List.of("tar"));
        command.addAll(List.of(arguments));
        return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    }

    private static void check(Process tar, Path what) throws IOException {
        try {
            if (tar.waitFor() != 0) {
                throw new NestedHostException("tar of %s has failed".formatted(what));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new NestedHostException("interrupted", e);
        }
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> tree = Files.walk(folder)) {
            for (Path path : tree.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }
}
