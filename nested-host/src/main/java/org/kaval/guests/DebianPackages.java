package org.kaval.guests;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.InstantSource;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// Debian packages, unpacked into a cache: not installed, without root, none of their scripts run.
///
/// The version is the one that `apt-get install` would take now. The lists of packages are fetched
/// once a day, and when a package is not in them; where that is impossible, those of before are
/// asked, and without any, the version is taken that was used last. So what was used once works
/// without a network.
///
/// On Debian, packages come from where the system's come from (`/etc/apt`), on its derivatives from
/// Debian 12's servers. The programs `apt-get`, `apt-cache`, `apt-config` and `dpkg-deb` do the
/// work.
///
/// Any thread, any number of processes.
public final class DebianPackages {
    private static final Logger LOG = System.getLogger(DebianPackages.class.getName());
    private static final String PACKAGE = "deb-", TREE = "debs-";
    private static final Pattern SAFE_NAMES = Pattern.compile("[a-z0-9+.~-]{1,150}");

    private final ArtifactCache cache;
    private final InstantSource clock;
    private final Sources sources;
    private final String prefix; // of kinds

    /// Found out when it is first needed, since it can fail.
    interface Sources {
        AptSources get() throws IOException;
    }

    /// Packages that are kept in `cache`.
    public DebianPackages(ArtifactCache cache) {
        this(cache, AptSources::ofSystem, InstantSource.system());
    }

    DebianPackages(ArtifactCache cache, Sources sources, InstantSource clock) {
        this(cache, sources, clock, "");
    }

    private DebianPackages(
            ArtifactCache cache, Sources sources, InstantSource clock, String prefix) {
        this.cache = cache;
        this.sources = sources;
        this.clock = clock;
        this.prefix = prefix;
    }

    /// Packages of a release of Debian, whatever the system is, from Debian's servers.
    ///
    /// @param codename `trixie`, for instance
    public static DebianPackages ofRelease(ArtifactCache cache, String codename) {
        return new DebianPackages(
                cache, () -> AptSources.ofDebian(codename), InstantSource.system(), codename + "-");
    }

    /// The files of package `name`: a directory with `usr`, `etc` and so on, for reading.
    ///
    /// @throws IOException one line: there is no such package, it can't be fetched or unpacked, or
    ///   a program that this needs is missing
    /// @throws IllegalArgumentException if no package can have this name
    public Path unpack(String name) throws IOException, InterruptedException {
        Deb.checkName(name);
        return latest(
                prefix + PACKAGE + name,
                apt -> {
                    Deb deb = apt.candidate(name);
                    return new Version(key(deb), List.of(deb));
                });
    }

    /// The files of packages `names`, and of all that they need (`Depends`, `Pre-Depends`; nothing
    /// that is only recommended), in one directory: enough for a program of theirs to run in, with
    /// that directory as its root. `/bin`, `/lib` and their like are there even if the packages
    /// only have `/usr/bin`. As no script of the packages is run, what those would make is missing:
    /// users, `ld.so.cache`, alternatives.
    ///
    /// @throws IOException as {@link #unpack}
    /// @throws IllegalArgumentException if no package can have one of these names
    public Path unpackWithDependencies(String... names) throws IOException, InterruptedException {
        List<String> sorted = Stream.of(names).map(Deb::checkName).distinct().sorted().toList();
        if (sorted.isEmpty()) {
            throw new IllegalArgumentException("no names of packages");
        }
        String joined = String.join("~", sorted);
        String kind = SAFE_NAMES.matcher(joined).matches() ? joined : digest(joined);
        return latest(
                prefix + TREE + kind,
                apt -> {
                    List<Deb> debs = apt.closure(sorted);
                    return new Version(
                            digest(
                                    debs.stream()
                                            .map(Deb::fileName)
                                            .sorted()
                                            .collect(Collectors.joining("\n"))),
                            debs);
                });
    }

    /// The first dependency of metapackage `name` that `pattern` matches. Without lists, the
    /// package that `pattern` matches and that was used last.
    String dependency(String name, Pattern pattern) throws IOException, InterruptedException {
        try {
            List<String> all = apt().dependencies(name);
            return all.stream()
                    .filter(pattern.asMatchPredicate())
                    .findFirst()
                    .orElseThrow(() ->
                            new IOException(
                                    "package %s depends on none like %s, but on: %s"
                                            .formatted(name, pattern, String.join(", ", all))));
        } catch (IOException e) {
            return cache.entries().stream()
                    .map(ArtifactCache.Use::kind)
                    .filter(kind -> kind.startsWith(prefix + PACKAGE))
                    .map(kind -> kind.substring((prefix + PACKAGE).length()))
                    .filter(pattern.asMatchPredicate())
                    .findFirst()
                    .orElseThrow(() -> e);
        }
    }

    ArtifactCache cache() {
        return cache;
    }

    private Apt apt() throws IOException {
        AptSources from = sources.get();
        return new Apt(cache.state("apt-" + from.name()), from, clock);
    }

    /// What is to be had now of a kind of entry.
    private record Version(String key, List<Deb> debs) {}

    private interface Lookup {
        Version ask(Apt apt) throws IOException, InterruptedException;
    }

    private Path latest(String kind, Lookup lookup) throws IOException, InterruptedException {
        Apt apt;
        Version version;
        try {
            apt = apt();
            version = lookup.ask(apt);
        } catch (IOException e) {
            return lastUsed(kind, e);
        }
        try {
            return unpacked(kind, version, apt);
        } catch (IOException e) {
            Version newer = e.getCause() instanceof NotDownloaded ? newer(apt, lookup, e) : version;
            if (newer.equals(version)) {
                throw e;
            }
            return unpacked(kind, newer, apt);
        }
    }

    /// A day is long for a list: the version in it may have been replaced, and be gone.
    private static Version newer(Apt apt, Lookup lookup, IOException problem)
            throws IOException, InterruptedException {
        try {
            if (apt.refresh()) {
                return lookup.ask(apt);
            }
        } catch (IOException e) {
            problem.addSuppressed(e);
        }
        throw problem;
    }

    private static final class NotDownloaded extends IOException {
        private static final long serialVersionUID = 1;

        NotDownloaded(IOException cause) {
            super(cause.getMessage(), cause);
        }
    }

    private Path unpacked(String kind, Version version, Apt apt)
            throws IOException, InterruptedException {
        return cache.directory(kind, version.key(), d -> unpack(version.debs(), apt, d));
    }

    private Path lastUsed(String kind, IOException problem)
            throws IOException, InterruptedException {
        ArtifactCache.Use use =
                cache.entries().stream()
                        .filter(entry -> entry.kind().equals(kind))
                        .findFirst()
                        .orElseThrow(() -> problem);
        LOG.log(
                Level.WARNING,
                "%s; %s %s is taken".formatted(problem.getMessage(), kind, use.key()));
        return cache.directory(
                kind,
                use.key(),
                _ -> {
                    throw problem;
                });
    }

    private static void unpack(List<Deb> debs, Apt apt, Path directory)
            throws IOException, InterruptedException {
        Path downloads = Files.createDirectory(directory.resolve("@downloads"));
        try {
            apt.download(debs, downloads);
        } catch (IOException e) {
            throw new NotDownloaded(e);
        }
        for (Deb deb : debs) {
            Path file = downloads.resolve(deb.fileName());
            Tool.of("dpkg-deb", "dpkg")
                    .run(
                            "to unpack " + deb.fileName(),
                            "--extract",
                            file.toString(),
                            directory.toString());
            Files.delete(file);
        }
        Files.delete(downloads);
        if (debs.size() > 1) {
            mergeUsr(directory);
        }
    }

    /// Programs and the dynamic linker are named by paths from before /usr had them all.
    private static void mergeUsr(Path directory) throws IOException {
        for (String name : List.of("bin", "sbin", "lib", "lib64")) {
            Path link = directory.resolve(name);
            if (Files.isDirectory(directory.resolve("usr", name))
                    && !Files.exists(link, LinkOption.NOFOLLOW_LINKS)) {
                Files.createSymbolicLink(link, Path.of("usr", name));
            }
        }
    }

    static String key(Deb deb) {
        return deb.version() + "_" + deb.architecture();
    }

    private static String digest(String text) {
        try {
            byte[] digest =
                    MessageDigest.getInstance("SHA-256")
                            .digest(text.getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(digest, 0, 16);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java platform has it
        }
    }
}
