package org.kaval.ci;

import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.YearMonth;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.kaval.guests.ArtifactCache;

/// The root file system of a minimal Debian as a tar archive, made by mmdebstrap from Debian's
/// packages: those that are essential, and apt.
///
/// It is the release of this host, so that the C library is the one that the packaged image was
/// made with, and made anew each month.
final class DebianArchive {
    /// For hosts that are no Debian.
    private static final String DEFAULT_RELEASE = "trixie";

    private static final Duration LIMIT = Duration.ofMinutes(8);

    private static final String NAME = "debian.tar";

    private DebianArchive() {}

    /// The archive, which is made if there is none of this month.
    static Path get() throws IOException, InterruptedException {
        String key = "%s-%s".formatted(release(), YearMonth.now(ZoneOffset.UTC));
        return ArtifactCache.ofUser()
                .directory("debian-archive", key, folder -> make(folder.resolve(NAME)))
                .resolve(NAME);
    }

    private static void make(Path archive) throws IOException, InterruptedException {
        Path log = Files.createTempFile("mmdebstrap", ".log");
        try {
            var builder =
                    new ProcessBuilder(
                                    "mmdebstrap",
                                    "--variant=minbase",
                                    "--format=tar",
                                    release(),
                                    archive.toString())
                            .redirectInput(Path.of("/dev/null").toFile())
                            .redirectErrorStream(true)
                            .redirectOutput(log.toFile());
            Process process = builder.start();
            try {
                if (!process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS)) {
                    throw new IOException("mmdebstrap is still running: " + last(log));
                }
                if (process.exitValue() != 0) {
                    throw new IOException(
                            "mmdebstrap: status %d: %s".formatted(process.exitValue(), last(log)));
                }
            } finally {
                process.destroy(); // SIGTERM, on which it removes what it has made
            }
        } finally {
            Files.delete(log);
        }
    }

    /// os-release(5).
    private static String release() throws IOException {
        var values = new Properties();
        values.load(new StringReader(Files.readString(Path.of("/etc/os-release"))));
        return values.getProperty("ID", "").equals("debian")
                ? values.getProperty("VERSION_CODENAME", DEFAULT_RELEASE)
                : DEFAULT_RELEASE;
    }

    private static String last(Path log) throws IOException {
        List<String> lines = Files.readAllLines(log);
        return String.join("\n", lines.subList(Math.max(0, lines.size() - 10), lines.size()));
    }
}
