package org.kaval.machine.snapshot;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.kaval.devices.Checkpoint;
import org.kaval.linux.Fd;
import org.kaval.machine.boot.BootDescription;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.Topology;

/// A snapshot that has been read and checked, but for its memory.
///
/// Any thread.
public final class Snapshot {
    /// Far more than the state of any machine; it is read as a whole.
    private static final int MOST_STATE = 256 << 20;

    private static final int MOST_LAYERS = 64;

    private final Path directory;
    private final Manifest manifest;
    private final Map<String, Object> state;
    private final List<MemoryPart> layers; // those below before those above; this one's is the last

    /// The memory of a snapshot.
    ///
    /// @param runs what it has of it; all, if it is the lowest
    private record MemoryPart(Path file, Manifest.Part part, List<Backing.Run> runs) {}

    private Snapshot(
            Path directory, Manifest manifest, Map<String, Object> state, List<MemoryPart> layers) {
        this.directory = directory;
        this.manifest = manifest;
        this.state = state;
        this.layers = layers;
    }

    /// Loads what reads a manifest, which the first snapshot of a process does otherwise: some 20
    /// ms, in which BigDecimal computes powers of five for a JSON parser that never uses them. Any
    /// thread; best one that has nothing else to do.
    public static void prepare() {
        Json.prepare();
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
                for (Manifest.Part disk : manifest.disks().values()) {
                    checkSize(directory, disk, disk.size());
                }
                List<MemoryPart> layers = readLayers(directory, manifest);
                return new Snapshot(directory, manifest, state, layers);
            } catch (NoSuchFileException e) {
                // another snapshot may have taken the place of the one whose manifest this was
                if (Arrays.equals(bytes, readManifest(file))) {
                    throw new SnapshotException(Path.of(e.getFile()), "missing");
                }
            }
        }
    }

    /// The memory, and what lies below it in other snapshots.
    private static List<MemoryPart> readLayers(Path directory, Manifest manifest)
            throws IOException {
        var layers = new ArrayList<MemoryPart>();
        Path folder = directory;
        Manifest current = manifest;
        while (true) {
            Path file = folder.resolve(Manifest.NAME);
            Manifest.Part memory = current.memoryPart();
            checkSize(
                    folder, memory, memory.isCompressed() ? memory.size() : manifest.memorySize());
            Manifest.Base base = current.base();
            layers.addFirst(
                    new MemoryPart(
                            folder.resolve(memory.file()),
                            memory,
                            base == null ? List.of() : readIndex(folder, base.index())));
            if (base == null) {
                return List.copyOf(layers);
            }
            if (layers.size() == MOST_LAYERS) {
                throw new SnapshotException(
                        file, "more than %d snapshots over each other".formatted(MOST_LAYERS));
            }
            folder = folder.resolve(base.directory()).normalize();
            Path below = folder.resolve(Manifest.NAME);
            current = Manifest.parse(below, readManifest(below));
            if (!current.memoryPart().equals(base.memory())
                    || !current.memory().equals(manifest.memory())) {
                throw new SnapshotException(
                        file, "the snapshot that it lies over is no longer in " + folder);
            }
        }
    }

    private static List<Backing.Run> readIndex(Path directory, Manifest.Part part)
            throws IOException {
        Path file = directory.resolve(part.file());
        byte[] bytes = readPart(directory, part, "an index");
        try {
            return MemoryIndex.decode(bytes);
        } catch (IllegalArgumentException e) {
            throw new SnapshotException(file, String.valueOf(e.getMessage()));
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
        byte[] bytes = readPart(directory, part, "a state");
        try {
            return Json.read(bytes, 0, bytes.length);
        } catch (IOException e) {
            throw new SnapshotException(
                    directory.resolve(part.file()), String.valueOf(e.getMessage()));
        }
    }

    private static byte[] readPart(Path directory, Manifest.Part part, String what)
            throws IOException {
        Path file = directory.resolve(part.file());
        checkSize(directory, part, part.size());
        if (part.size() > MOST_STATE) {
            throw new SnapshotException(file, "too large for " + what);
        }
        byte[] bytes = Files.readAllBytes(file);
        if (Manifest.crc32c(bytes, 0, bytes.length) != part.sum()) {
            throw new SnapshotException(file, "altered: its check sum is not the manifest's");
        }
        return bytes;
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

    /// Whether this one or one that it lies over is in `folder`.
    boolean hasMemoryIn(Path folder) throws IOException {
        for (MemoryPart layer : layers) {
            if (Files.isSameFile(layer.file.resolveSibling("."), folder)) {
                return true;
            }
        }
        return false;
    }

    /// Reads all of the memory, and compares its check sum.
    ///
    /// @throws SnapshotException if it is another
    public void checkMemory() throws IOException {
        List<Long> sizes = manifest.memory().stream().map(GuestRange::size).toList();
        for (MemoryPart layer : layers) {
            if (layer.part.isCompressed()) {
                checkSum(layer.file, FilePart.of(layer.file).sum(), layer.part);
                continue;
            }
            try (Fd fd = Fd.open(layer.file, Fd.Access.READ)) {
                checkSum(layer.file, MemoryFile.sum(fd, sizes, Checkpoint.NONE), layer.part);
            }
        }
    }

    /// Reads all of the copies of disks, and compares their check sums.
    ///
    /// @throws SnapshotException if one is another
    public void checkDisks() throws IOException {
        for (Map.Entry<String, Path> disk : disks().entrySet()) {
            Manifest.Part there = FilePart.of(disk.getValue());
            Manifest.Part part = manifest.disks().getOrDefault(disk.getKey(), there);
            checkSum(disk.getValue(), there.sum(), part);
        }
    }

    private static void checkSum(Path file, int sum, Manifest.Part part) throws SnapshotException {
        if (sum != part.sum()) {
            throw new SnapshotException(file, "altered: its check sum is not the manifest's");
        }
    }

    /// The copies of the guest's disks, by the names that they were given; qcow2 images, which may
    /// lie over others.
    public Map<String, Path> disks() {
        var files = new LinkedHashMap<String, Path>();
        manifest.disks().forEach((name, part) -> files.put(name, directory.resolve(part.file())));
        return files;
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

    /// Its memory, to go on with: read from its files where it is touched, and kept apart from them
    /// where it is written. Compressed memory is read, and its check sum compared, before this
    /// returns. The caller closes it.
    ///
    /// @throws SnapshotException if compressed memory is altered, or cut short
    /// @throws IOException if a file cannot be read, or there is no memory for it
    public GuestMemory openMemory() throws IOException {
        if (layers.stream().noneMatch(layer -> layer.part.isCompressed())) {
            return GuestMemory.allocate(memory(), backing());
        }
        GuestMemory memory = GuestMemory.allocate(memory(), Backing.anonymous());
        boolean loaded = false;
        try {
            load(new LoadedMemory(memory));
            loaded = true;
            return memory;
        } finally {
            if (!loaded) {
                memory.close();
            }
        }
    }

    private void load(LoadedMemory memory) throws IOException {
        for (int i = 0; i < layers.size(); i++) {
            MemoryPart layer = layers.get(i);
            if (layer.part.isCompressed()) {
                memory.addCompressed(layer.file, layer.part);
            } else if (i == 0) {
                memory.addAll(layer.file);
            } else {
                memory.addRuns(layer.file, layer.runs);
            }
        }
    }

    private Backing backing() {
        var bottom = new Backing.PrivateFile(layers.getFirst().file, 0);
        if (layers.size() == 1) {
            return bottom;
        }
        return new Backing.LayeredFile(
                bottom,
                layers.stream()
                        .skip(1)
                        .map(layer -> new Backing.Layer(layer.file, layer.runs))
                        .toList());
    }

    /// What the manifest says of the memory, by which another snapshot knows it.
    Manifest.Part memoryPart() {
        return manifest.memoryPart();
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
