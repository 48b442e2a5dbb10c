package org.kaval.guests;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/// Directories that are dear to make, kept on disk between runs: each made once, by whoever asks
/// first, and found whole by all others.
///
/// An entry has a *kind* (what it is: a package, a saved machine) and a *key* (which one of them:
/// its version). It is the directory `ROOT/KIND/KEY`:
///
/// - It is made in a directory beside it, put in place in one step and only then listed: name,
///   type, mode, size and time of last change of each file. At every use the list is compared with
///   what is there; an entry that differs, or has no list, is made anew. So it can't be
///   half-written, and whoever damages it has it mended.
/// - Of any number of threads and processes that want it at once, one makes it and the others wait.
///   If that one is killed, the next takes over, and removes what was left.
/// - Who has asked for an entry uses it until its process ends; it may be read in that time, but
///   **not changed** (that would be damage).
///
/// After each making, entries that no live process uses are removed: those of all kinds not used
/// for 30 days, and of each kind all but the eight used last. So a kind is for things of which one
/// is wanted at a time. Whatever else is in `ROOT` is left alone.
///
/// File locks (fcntl(2)) hold this together: on a network file system it is as safe as they are.
/// Any thread.
public final class ArtifactCache {
    static final Duration KEPT = Duration.ofDays(30);
    static final int KEPT_OF_A_KIND = 8;

    private static final Logger LOG = System.getLogger(ArtifactCache.class.getName());

    /// What is a directory of this class's own begins with a dot, what is on its way has an `@`.
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._+~%=-]{0,199}");

    private static final SecureRandom RANDOM = new SecureRandom();

    private final Path root;
    private final InstantSource clock;

    /// A cache in `root`, which is made (for its user only) when first needed.
    public ArtifactCache(Path root) {
        this(root, InstantSource.system());
    }

    ArtifactCache(Path root, InstantSource clock) {
        this.root = root.toAbsolutePath().normalize();
        this.clock = clock;
    }

    /// The cache of this user: `$XDG_CACHE_HOME/kaval`, or `~/.cache/kaval` if that variable is not
    /// set or, as the XDG Base Directory Specification has it, no absolute path.
    public static ArtifactCache ofUser() {
        return new ArtifactCache(rootOfUser(System.getenv(), System.getProperty("user.home")));
    }

    static Path rootOfUser(Map<String, String> environment, String defaultHome) {
        String cache = environment.getOrDefault("XDG_CACHE_HOME", "");
        if (cache.startsWith("/")) {
            return Path.of(cache, "kaval");
        }
        String home = environment.getOrDefault("HOME", "");
        return Path.of(home.startsWith("/") ? home : defaultHome, ".cache", "kaval");
    }

    /// Makes an entry.
    public interface Builder {
        /// Fills `directory`, which is empty. The files get their final place by a rename of
        /// `directory`: they must not name it.
        ///
        /// @throws IOException if it can't: there will be no entry then, nor anything left
        void build(Path directory) throws IOException, InterruptedException;
    }

    /// The directory of the entry `kind`, `key`, made by `builder` if it is not there or broken.
    ///
    /// @param kind of letters, digits and `._+~%=-`, not a dot first, at most 200
    /// @param key as `kind`
    /// @return an absolute path without symbolic links, for reading, good until this process ends
    /// @throws IOException one line that says which entry can't be made, and why
    /// @throws IllegalArgumentException if `kind` or `key` is no such name
    public Path directory(String kind, String key, Builder builder)
            throws IOException, InterruptedException {
        checkName("kind", kind);
        checkName("key", key);
        boolean made;
        Path directory = root.resolve(kind, key);
        try {
            Entry entry = Entry.of(realRoot(), kind, key);
            directory = entry.directory();
            try (CacheLock.Held lock = CacheLock.of(entry.lock()).acquire()) {
                lock.use();
                made = !entry.isIntact();
                if (made) {
                    make(entry, builder);
                }
                Files.setLastModifiedTime(entry.manifest(), FileTime.from(clock.instant()));
            }
        } catch (IOException e) {
            throw new IOException("cannot make %s: %s".formatted(directory, Problem.line(e)), e);
        }
        if (made) {
            prune();
        }
        return directory;
    }

    /// Removes an entry, used or not, if there is one: the next who asks for it makes it anew. Who
    /// has its files open keeps them.
    ///
    /// @throws IllegalArgumentException if `kind` or `key` is no name
    public void discard(String kind, String key) throws IOException, InterruptedException {
        checkName("kind", kind);
        checkName("key", key);
        if (Files.exists(root)) {
            Entry entry = Entry.of(realRoot(), kind, key);
            try (CacheLock.Held _ = CacheLock.of(entry.lock()).acquire()) {
                entry.remove();
            }
        }
    }

    /// An entry that is there, though perhaps broken.
    record Use(String kind, String key, Instant last) {}

    /// What there is, the last used first.
    List<Use> entries() throws IOException {
        return attempts().stream().filter(use -> !use.last().equals(Instant.EPOCH)).toList();
    }

    /// Entries, and what was tried to make. Others may keep things of their own below the root:
    /// only what has a lock file is this class's.
    private List<Use> attempts() throws IOException {
        List<Use> uses = new ArrayList<>();
        if (Files.exists(root)) {
            for (String kind : names(root)) {
                Path locks = root.resolve(kind, Entry.LOCKS);
                for (String key : Files.isDirectory(locks) ? names(locks) : List.<String>of()) {
                    uses.add(new Use(kind, key, lastUse(kind, key)));
                }
            }
        }
        uses.sort(Comparator.comparing(Use::last).reversed());
        return uses;
    }

    /// A directory for what is no entry, since it changes; never pruned.
    Path state(String name) throws IOException {
        checkName("name", name);
        return Files.createDirectories(realRoot().resolve(".state").resolve(name));
    }

    private Path realRoot() throws IOException {
        Files.createDirectories(
                root,
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        return root.toRealPath();
    }

    private static void make(Entry entry, Builder builder)
            throws IOException, InterruptedException {
        entry.remove();
        byte[] random = new byte[4];
        RANDOM.nextBytes(random); // a killed builder's child may still write to the old name
        Path temporary = entry.temporary(HexFormat.of().formatHex(random));
        try {
            builder.build(Files.createDirectory(temporary));
            String manifest = Trees.describe(temporary);
            flush(temporary);
            Files.move(temporary, entry.directory(), StandardCopyOption.ATOMIC_MOVE);
            list(entry, manifest);
        } catch (IOException | InterruptedException | RuntimeException | Error e) {
            try {
                entry.remove();
            } catch (IOException left) {
                e.addSuppressed(left);
            }
            throw e;
        }
    }

    /// What the disk has after a power failure must not be less than what the list says: files
    /// whose bytes were never written keep size and time on some file systems.
    private static void flush(Path tree) throws IOException, InterruptedException {
        Tool.of("sync", "coreutils").run("to write " + tree, "--file-system", tree.toString());
    }

    private static void list(Entry entry, String text) throws IOException {
        Path temporary = entry.temporary("manifest");
        Files.writeString(temporary, text);
        try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
            channel.force(true);
        }
        Files.move(temporary, entry.manifest(), StandardCopyOption.ATOMIC_MOVE);
    }

    /// Removes what nobody has used for long. What can't be removed only costs space: it is logged.
    private void prune() {
        try {
            Instant oldest = clock.instant().minus(KEPT);
            Map<String, Integer> kept = new HashMap<>();
            for (Use use : attempts()) {
                int newer = kept.merge(use.kind(), 1, Integer::sum) - 1;
                if (newer >= KEPT_OF_A_KIND || use.last().isBefore(oldest)) {
                    Entry entry = Entry.of(realRoot(), use.kind(), use.key());
                    CacheLock.ifUnused(entry.lock(), entry::remove);
                }
            }
        } catch (IOException e) {
            LOG.log(Level.WARNING, "cannot remove old entries of " + root + ": " + Problem.line(e));
        }
    }

    private Instant lastUse(String kind, String key) throws IOException {
        try {
            Path manifest = root.resolve(kind, Entry.MANIFESTS, key);
            return Files.getLastModifiedTime(manifest).toInstant();
        } catch (NoSuchFileException e) {
            return Instant.EPOCH; // being made at this moment, or the leftovers of it
        }
    }

    private static List<String> names(Path directory) throws IOException {
        return Trees.children(directory).stream()
                .map(child -> String.valueOf(child.getFileName()))
                .filter(NAME.asMatchPredicate())
                .toList();
    }

    private static void checkName(String what, String name) {
        if (!NAME.matcher(name).matches()) {
            throw new IllegalArgumentException(
                    "%s of a cache entry: '%s' is not 1 to 200 of A-Z a-z 0-9 . _ + ~ %% = -, no dot first"
                            .formatted(what, name));
        }
    }

    /// Where the parts of an entry are. All but the paths: with its lock only.
    private record Entry(Path kind, String key) {
        static final String MANIFESTS = ".manifests";
        static final String LOCKS = ".locks";
        private static final String TEMPORARIES = ".making";

        /// Makes the directories that an entry's parts are in.
        static Entry of(Path root, String kind, String key) throws IOException {
            Path directory = root.resolve(kind);
            for (String part : List.of(MANIFESTS, LOCKS, TEMPORARIES)) {
                Files.createDirectories(directory.resolve(part));
            }
            return new Entry(directory, key);
        }

        Path directory() {
            return kind.resolve(key);
        }

        Path manifest() {
            return kind.resolve(MANIFESTS, key);
        }

        Path lock() {
            return kind.resolve(LOCKS, key);
        }

        Path temporary(String suffix) {
            return kind.resolve(TEMPORARIES, key + "@" + suffix);
        }

        boolean isIntact() throws IOException {
            try {
                String manifest = Files.readString(manifest());
                return manifest.equals(Trees.describe(directory()));
            } catch (IOException e) {
                LOG.log(Level.DEBUG, () -> directory() + " is made: " + Problem.line(e));
                return false;
            }
        }

        /// Removes it, and what was left of attempts to make it.
        void remove() throws IOException {
            Trees.delete(manifest()); // first: without it, nothing else counts
            Trees.delete(directory());
            for (Path path : Trees.children(kind.resolve(TEMPORARIES))) {
                if (String.valueOf(path.getFileName()).startsWith(key + "@")) {
                    Trees.delete(path);
                }
            }
        }
    }
}
