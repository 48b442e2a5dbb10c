package org.kaval.cli.control;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.FileLock;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.machine.ConfigException;

/// What a named machine has on the host: a folder for its user only.
///
/// | file      | what                                                                        |
/// |-----------|-----------------------------------------------------------------------------|
/// | `lock`    | locked while the machine's process lives                                    |
/// | `vm.json` | {@link VmRecord}                                                            |
/// | `api`     | socket of the {@link ControlServer}                                         |
/// | `console` | socket of the first serial port, if the machine runs in the background      |
/// | `log`     | what the guest has written there, the last of it; `log.1` is what was before |
/// | `errors`  | what Kaval has said, in the background                                      |
///
/// @param path of the folder
public record VmFolder(Path path) {
    private static final Pattern NAME = Pattern.compile("[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}");

    /// `sun_path` of sockaddr_un has room for 108 bytes, one of which ends it.
    private static final int LONGEST_SOCKET = 107;

    private static final FileAttribute<Set<PosixFilePermission>> PRIVATE =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));

    private static final List<String> FILES =
            List.of("api", "console", "log", "log.1", "errors", "vm.json", "vm.json.new", "lock");

    /// The folder of machine `name`, which need not exist.
    ///
    /// @throws ConfigException if no machine can have that name
    /// @throws HostUnsupportedException if there is no place for machines
    public static VmFolder of(String name) throws HostUnsupportedException {
        if (!NAME.matcher(name).matches()) {
            throw new ConfigException(
                    "name",
                    ("'%s': a name has 1 to 63 letters, digits, '.', '_' and '-', and begins with one"
                                    + " of the first two")
                            .formatted(name));
        }
        var folder = new VmFolder(root().resolve(name));
        int length =
                folder.console()
                        .toString()
                        .getBytes(java.nio.charset.StandardCharsets.UTF_8)
                        .length;
        if (length > LONGEST_SOCKET) {
            throw new ConfigException(
                    "name",
                    "%s: %d bytes are too many for a socket's path, which has %d at most"
                            .formatted(folder.console(), length, LONGEST_SOCKET));
        }
        return folder;
    }

    /// The folder of a machine that there is, alive or not.
    ///
    /// @throws ConfigException if there is none
    public static VmFolder existing(String name) throws IOException {
        VmFolder folder = of(name);
        if (folder.read().isEmpty()) {
            throw new ConfigException("name", "no machine is called '%s'".formatted(name));
        }
        return folder;
    }

    /// All machines, by name.
    public static List<VmFolder> all() throws IOException {
        var folders = new ArrayList<VmFolder>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(root(), Files::isDirectory)) {
            for (Path entry : entries) {
                var folder = new VmFolder(entry);
                if (folder.read().isPresent()) {
                    folders.add(folder);
                }
            }
        } catch (NoSuchFileException _) {
            return List.of();
        }
        folders.sort(Comparator.comparing(VmFolder::name));
        return folders;
    }

    /// `/run/kaval` for root, `$XDG_RUNTIME_DIR/kaval` for others.
    private static Path root() throws HostUnsupportedException {
        String chosen = System.getenv("KAVAL_RUNTIME_DIR");
        if (chosen != null && !chosen.isEmpty()) {
            return Path.of(chosen).toAbsolutePath();
        }
        if (System.getProperty("user.name").equals("root")) {
            return Path.of("/run/kaval");
        }
        String user = System.getenv("XDG_RUNTIME_DIR");
        if (user == null || user.isEmpty()) {
            throw new HostUnsupportedException(
                    "named machines need a folder of their user's: XDG_RUNTIME_DIR is not set; log in"
                            + " with systemd, or set it to a folder that is yours");
        }
        return Path.of(user).resolve("kaval");
    }

    public String name() {
        return path.getFileName().toString();
    }

    Path file(String name) {
        return path.resolve(name);
    }

    public Path api() {
        return file("api");
    }

    public Path console() {
        return file("console");
    }

    public Path log() {
        return file("log");
    }

    public Path errors() {
        return file("errors");
    }

    /// Makes the folder, if it is not there, for this user only.
    public void make() throws IOException {
        Files.createDirectories(path.getParent(), PRIVATE);
        if (!Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
            Files.createDirectory(path, PRIVATE);
        }
    }

    /// What is written down of the machine; empty if there is none.
    public Optional<VmRecord> read() throws IOException {
        try {
            return Optional.of(VmRecord.parse(Files.readAllBytes(file("vm.json"))));
        } catch (NoSuchFileException _) {
            return Optional.empty();
        }
    }

    /// Whether its process lives.
    public boolean isAlive() throws IOException {
        try (Fd lock = Fd.open(file("lock"), Fd.Access.READ_WRITE)) {
            return !FileLock.isFree(lock, FileLock.Kind.EXCLUSIVE, 0, 1);
        } catch (ErrnoException e) {
            if (Files.exists(file("lock"))) {
                throw e;
            }
            return false;
        }
    }

    /// Removes all of it. The machine does not live.
    public void remove() throws IOException {
        for (String name : FILES) {
            Files.deleteIfExists(file(name));
        }
        Files.deleteIfExists(path);
    }
}
