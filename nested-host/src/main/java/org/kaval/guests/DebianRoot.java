package org.kaval.guests;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.YearMonth;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;

/// Root file systems of a small Debian: its essential packages, apt and what is asked for,
/// installed by mmdebstrap with all their scripts, without what is only recommended and without
/// documentation and translations.
///
/// One is made anew each month; where that is impossible (there is no network, for instance) the
/// last one is taken. No root is needed where users may have namespaces and Debian's `uidmap` is
/// installed.
///
/// Any thread, any number of processes.
public final class DebianRoot {
    private static final Logger LOG = System.getLogger(DebianRoot.class.getName());
    private static final Duration LIMIT = Duration.ofMinutes(10), GRACE = Duration.ofSeconds(20);
    private static final String ARCHIVE = "debian.tar", IMAGE = "debian.ext4", LABEL = "debian";

    private static final List<String> LEFT_OUT =
            List.of("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*");

    private DebianRoot() {}

    /// All of it as a tar archive.
    ///
    /// @param release its code name
    /// @param packages names, beside apt and what is essential
    /// @throws IOException one line: it cannot be made, and why
    /// @throws IllegalArgumentException if no package can have one of these names
    public static Path archive(ArtifactCache cache, String release, String... packages)
            throws IOException, InterruptedException {
        List<String> names = Stream.of(packages).map(Deb::checkName).sorted().toList();
        return monthly(
                        cache,
                        "debian-archive-" + release + digest(names),
                        folder -> archive(release, names, folder.resolve(ARCHIVE)))
                .resolve(ARCHIVE);
    }

    /// An ext4 file system with it, label `debian`, with some room to spare; all files are root's,
    /// and there are no devices.
    ///
    /// @param packages names, beside apt and what is essential
    /// @param without patterns as the shell has them, of paths below the root that are left out
    ///   with what is below them: `usr/lib/python3*`
    /// @throws IOException one line: it cannot be made, and why
    /// @throws IllegalArgumentException if no package can have one of these names
    public static Path image(
            ArtifactCache cache, String release, List<String> packages, List<String> without)
            throws IOException, InterruptedException {
        List<String> names = packages.stream().map(Deb::checkName).sorted().toList();
        var kind = new ArrayList<>(names);
        kind.addAll(without);
        return monthly(
                        cache,
                        "debian-root-" + release + digest(kind),
                        folder -> image(release, names, without, folder))
                .resolve(IMAGE);
    }

    private static Path monthly(ArtifactCache cache, String kind, ArtifactCache.Builder builder)
            throws IOException, InterruptedException {
        String month = YearMonth.now(ZoneOffset.UTC).toString();
        try {
            return cache.directory(kind, month, builder);
        } catch (IOException e) {
            ArtifactCache.Use last =
                    cache.entries().stream()
                            .filter(use -> use.kind().equals(kind))
                            .findFirst()
                            .orElseThrow(() -> e);
            LOG.log(Level.WARNING, "%s; that of %s is taken".formatted(e.getMessage(), last.key()));
            return cache.directory(
                    kind,
                    last.key(),
                    _ -> {
                        throw e;
                    });
        }
    }

    private static void archive(String release, List<String> packages, Path archive)
            throws IOException, InterruptedException {
        var arguments = new ArrayList<>(List.of("--variant=minbase", "--format=tar"));
        arguments.add("--aptopt=Acquire::Languages \"none\"");
        LEFT_OUT.forEach(path -> arguments.add("--dpkgopt=path-exclude=" + path));
        if (!packages.isEmpty()) {
            arguments.add("--include=" + String.join(",", packages));
        }
        arguments.addAll(List.of(release, archive.toString()));
        Tool.of("mmdebstrap", "mmdebstrap")
                .within(LIMIT)
                .withGrace(GRACE)
                .run("to make a Debian root file system", arguments);
    }

    private static void image(
            String release, List<String> packages, List<String> without, Path folder)
            throws IOException, InterruptedException {
        Path archive = folder.resolve(ARCHIVE);
        archive(release, packages, archive);
        Path tree = Files.createDirectory(folder.resolve("tree"));
        var arguments = new ArrayList<>(List.of("-C", tree.toString(), "--no-same-owner", "-xpf"));
        arguments.addAll(List.of(archive.toString(), "--anchored", "--exclude=./dev/*"));
        without.forEach(pattern -> arguments.add("--exclude=./" + pattern));
        Tool.of("tar", "tar").run("to unpack a Debian root file system", arguments);
        Files.delete(archive);
        Ext4Image.create(folder.resolve(IMAGE), tree, Ext4Image.estimate(tree), LABEL);
        Trees.delete(tree);
    }

    private static String digest(List<String> names) {
        if (names.isEmpty()) {
            return "";
        }
        byte[] text = String.join("\n", names).getBytes(StandardCharsets.UTF_8);
        return "-" + UUID.nameUUIDFromBytes(text);
    }
}
