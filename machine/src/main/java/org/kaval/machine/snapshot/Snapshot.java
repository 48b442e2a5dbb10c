package org.kaval.machine.snapshot;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.kaval.linux.Fd;
import org.kaval.machine.boot.BootDescription;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.Topology;

/// A snapshot that has been read and checked, but for its memory.
///
/// Any thread.
public final class Snapshot {
    /// Far more than the state of any machine; it is read as a whole.
    private static final int MOST_STATE = 256 << 20;

    private final Path directory;
    private final Manifest manifest;
    private final Map<String, Object> state;

    private Snapshot(Path directory, Manifest manifest, Map<String, Object> state) {
        this.directory = directory;
        this.manifest = manifest;
        this.state = state;
    }

    /// Reads the snapshot in a folder.
    ///
    /// @throws SnapshotException if it is none, or not whole
    /// @throws IOException if a file cannot be read
    public static Snapshot read(Path directory) throws IOException {
        Path file = directory.resolve(Manifest.NAME);
        while (true) {
            byte[] bytes = readManifest(file);
            try {
                Manifest manifest = Manifest.parse(file, bytes);
                Map<String, Object> state = readState(directory, manifest.state());
                checkSize(directory, manifest.memoryPart(), manifest.memorySize());
                return new Snapshot(directory, manifest, state);
            } catch (NoSuchFileException e) {
                // another snapshot may have taken the place of the one whose manifest this was
                if (Arrays.equals(bytes, readManifest(file))) {
                    throw new SnapshotException(Path.of(e.getFile()), "missing");
                }
            }
        }
    }

    private static byte[] readManifest(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            throw new SnapshotException(file, "missing: the folder has no snapshot");
        }
        if (Files.size(file) > Manifest.MOST_BYTES) {
            throw new SnapshotException(file, "too large for a manifest");
        }
        return Files.readAllBytes(file);
    }

    private static Map<String, Object> readState(Path directory, Manifest.Part part)
            throws IOException {
        Path file = directory.resolve(part.file());
        checkSize(directory, part, part.size());
        if (part.size() > MOST_STATE) {
            throw new SnapshotException(file, "too large for a state");
        }
        byte[] bytes = Files.readAllBytes(file);
        if (Manifest.crc32c(bytes, 0, bytes.length) != part.sum()) {
            throw new SnapshotException(file, "altered: its check sum is not the manifest's");
        }
        try {
            return Json.read(bytes, 0, bytes.length);
        } catch (IOException e) {
            throw new SnapshotException(file, String.valueOf(e.getMessage()));
        }
    }

    private static void checkSize(Path directory, Manifest.Part part, long size)
            throws IOException {
        Path file = directory.resolve(part.file());
        if (part.size() != size) {
            throw new SnapshotException(
                    file, "the manifest has %d bytes for %d".formatted(part.size(), size));
        }
        if (Files.isSymbolicLink(file) || !Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
            throw new NoSuchFileException(file.toString());
        }
        long there = Files.size(file);
        if (there != size) {
            throw new SnapshotException(
                    file, "%d bytes, where there should be %d".formatted(there, size));
        }
    }

    /// Reads all of the memory, and compares its check sum.
    ///
    /// @throws SnapshotException if it is another
    public void checkMemory() throws IOException {
        Path file = memoryFile();
        try (Fd fd = Fd.open(file, Fd.Access.READ)) {
            List<Long> sizes = manifest.memory().stream().map(GuestRange::size).toList();
            if (MemoryFile.sum(fd, sizes) != manifest.memoryPart().sum()) {
                throw new SnapshotException(file, "altered: its check sum is not the manifest's");
            }
        }
    }

    /// Where it is.
    public Path directory() {
        return directory;
    }

    /// When it was made, in ISO 8601.
    public String created() {
        return manifest.created();
    }

    public Topology topology() {
        return manifest.topology();
    }

    /// The features that the guest was told of.
    public CpuFeatures cpu() {
        return manifest.cpu();
    }

    /// Guest-physical ranges that are RAM.
    public List<GuestRange> memory() {
        return manifest.memory();
    }

    /// What was booted.
    public BootDescription boot() {
        String kernel = manifest.kernel();
        return new BootDescription(
                kernel == null ? null : Path.of(kernel),
                manifest.commandLine(),
                manifest.compressed());
    }

    /// What the program that made it wants to find again.
    public Map<String, String> attributes() {
        return manifest.attributes();
    }

    /// Memory that is read from the file where it is touched, and kept apart from it where it is
    /// written.
    public Backing backing() {
        return new Backing.PrivateFile(memoryFile(), 0);
    }

    private Path memoryFile() {
        return directory.resolve(manifest.memoryPart().file());
    }

    /// What vCPUs and devices know: a tree of {@link org.kaval.devices.StateFields}.
    public Map<String, Object> state() {
        return state;
    }

    /// The file that {@link #state} is from, for messages.
    public Path stateFile() {
        return directory.resolve(manifest.state().file());
    }
}
