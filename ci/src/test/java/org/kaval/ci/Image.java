package org.kaval.ci;

import java.nio.file.Files;
import java.nio.file.Path;

/// The packaged image, which the build makes before these tests.
final class Image {
    static final Path DIRECTORY =
            Path.of("..", "cli", "target", "kaval").toAbsolutePath().normalize();

    private Image() {}

    /// The command `kaval`.
    static String kaval() {
        Path command = DIRECTORY.resolve("bin/kaval");
        if (!Files.isExecutable(command)) {
            throw new AssertionError(command + " is missing: run ./mvnw package");
        }
        return command.toString();
    }
}
