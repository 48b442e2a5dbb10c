package org.kaval.guests;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;

/// Makes small Java runtimes for guests that keep all their files in memory, out of the JDK that
/// this program runs on.
public final class JavaRuntime {
    private JavaRuntime() {}

    /// Makes one, with an archive of class data (CDS) for the serial collector: without it, a JVM
    /// takes twice as long to start.
    ///
    /// @param target folder to make
    /// @param modules of the JDK; those that they need come with them
    /// @throws IOException one line: `target` is there already, or this is no JDK
    public static void link(Path target, List<String> modules)
            throws IOException, InterruptedException {
        Path jlink = Path.of(System.getProperty("java.home"), "bin", "jlink");
        Tool.of(jlink.toString(), "openjdk-25-jdk-headless")
                .run(
                        "to make a small Java runtime",
                        "--add-modules",
                        String.join(",", modules),
                        "--strip-debug",
                        "--no-header-files",
                        "--no-man-pages",
                        "--output",
                        target.toString());
        Trees.delete(target.resolve("legal"));
        // The archive is for a file of one size and time, which an initramfs says is 1970.
        Files.setLastModifiedTime(target.resolve("lib/modules"), FileTime.fromMillis(0));
        Tool.of(target.resolve("bin/java").toString(), "openjdk-25-jdk-headless")
                .run("to archive class data", "-XX:+UseSerialGC", "-Xshare:dump");
    }
}
