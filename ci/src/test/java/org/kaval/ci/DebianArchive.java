package org.kaval.ci;

import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianRoot;

/// The root file system of a minimal Debian as a tar archive: the release of this host, so that the
/// C library is the one that the packaged image was made with.
final class DebianArchive {
    /// For hosts that are no Debian.
    private static final String DEFAULT_RELEASE = "trixie";

    private DebianArchive() {}

    /// The archive, which is made if there is none of this month.
    static Path get() throws IOException, InterruptedException {
        return DebianRoot.archive(ArtifactCache.ofUser(), release());
    }

    /// os-release(5).
    private static String release() throws IOException {
        var values = new Properties();
        values.load(new StringReader(Files.readString(Path.of("/etc/os-release"))));
        return values.getProperty("ID", "").equals("debian")
                ? values.getProperty("VERSION_CODENAME", DEFAULT_RELEASE)
                : DEFAULT_RELEASE;
    }
}
