package org.kaval.ci;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.kaval.testing.Effort;

/// The packaged image, which the build makes before these tests.
final class Image {
    static final Path DIRECTORY =
            Path.of(System.getProperty("basedir", ""), "..", "cli", "target", "kaval")
                    .toAbsolutePath()
                    .normalize();

    private static final Pattern ARCHIVE = Pattern.compile("kaval-.*-linux-x86_64\\.tar\\.gz");

    private Image() {}

    /// The command `kaval`.
    static String kaval() {
        Path command = DIRECTORY.resolve("bin/kaval");
        if (!Files.isExecutable(command)) {
            throw missing(command);
        }
        return command.toString();
    }

    /// What a command has in its environment that runs for a moment.
    static Map<String, String> environment() {
        return Effort.isEmulated() ? Map.of("KAVAL_JAVA_OPTIONS", "-Xint") : Map.of();
    }

    /// The same as an archive.
    static Path archive() throws IOException {
        try (Stream<Path> files = Files.list(DIRECTORY.getParent())) {
            return files.filter(file -> ARCHIVE.matcher(file.getFileName().toString()).matches())
                    .max(Comparator.comparingLong(file -> file.toFile().lastModified()))
                    .orElseThrow(() -> missing("the archive of " + DIRECTORY));
        }
    }

    private static AssertionError missing(Object what) {
        return new AssertionError(what + " is missing: run ./mvnw package");
    }
}
