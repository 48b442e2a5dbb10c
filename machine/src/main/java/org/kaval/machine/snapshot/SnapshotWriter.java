package org.kaval.machine.snapshot;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Checkpoint;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.FileLock;
import org.kaval.machine.boot.BootDescription;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.Topology;

/// Writes a snapshot into a folder, instead of one that is there. Until {@link #commit} returns the
/// earlier one stays; what {@link #close} finds uncommitted it deletes.
///
/// One thread.
public final class SnapshotWriter implements AutoCloseable {
    private static final String LOCK = "lock";
    private static final String PARTS = "{memory,state,manifest,index,disk*}-*";
    private static final String MEMORY = "memory-";
    private static final String PRIVATE = "rw-------";

    private final Path directory;
    private final boolean madeDirectory;
    private final boolean durable;
    private final Checkpoint checkpoint;
    private final Fd lock;
    private final String id = "%016x".formatted(ThreadLocalRandom.current().nextLong());
    private final List<Path> written = new ArrayList<>();
    private final Map<String, Manifest.Part> disks = new LinkedHashMap<>();
    private List<GuestRange> memoryRanges = List.of();
    private Manifest.@Nullable Part statePart;
    private Manifest.@Nullable Part memoryPart;
    private Manifest.@Nullable Base base;
    private @Nullable Snapshot memoryBase;
    private int diskCount;
    private boolean committed;

    private SnapshotWriter(
            Path directory,
            boolean madeDirectory,
            boolean durable,
            Checkpoint checkpoint,
            Fd lock) {
        this.directory = directory;
        this.madeDirectory = madeDirectory;
        this.durable = durable;
        this.checkpoint = checkpoint;
        this.lock = lock;
    }

    /// Begins a snapshot. The folder is made if it is not there, for its owner alone: memory may
    /// hold secrets.
    ///
    /// @throws SnapshotException if the folder has something else, or somebody writes one there
    ///
    /// @param durable whether {@link #commit} waits for the disk
    /// @param checkpoint is passed while memory is written, and before each part is put on the disk
    public static SnapshotWriter begin(Path directory, boolean durable, Checkpoint checkpoint)
            throws IOException {
        boolean made = makeDirectory(directory);
        Fd lock = null;
        try {
            if (!made) {
                checkFolder(directory);
            }
            lock = openLock(directory.resolve(LOCK));
            if (!FileLock.tryLock(lock, FileLock.Kind.EXCLUSIVE, 0, 1)) {
                throw new SnapshotException(directory, "somebody else writes a snapshot there");
            }
            var writer = new SnapshotWriter(directory, made, durable, checkpoint, lock);
            lock = null;
            return writer;
        } finally {
            if (lock != null) {
                lock.close();
            }
        }
    }

    private static FileAttribute<?> permissions(String text) {
        return PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(text));
    }

    private static boolean makeDirectory(Path directory) throws IOException {
        try {
            Files.createDirectory(directory, permissions("rwx------"));
            return true;
        } catch (FileAlreadyExistsException e) {
            if (!Files.isDirectory(directory)) {
                throw e;
            }
            return false;
        }
    }

    /// A folder is a snapshot's, or empty: others' files are left alone.
    private static void checkFolder(Path directory) throws IOException {
        if (Files.exists(directory.resolve(LOCK))) {
            return;
        }
        try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
            if (files.iterator().hasNext()) {
                throw new SnapshotException(directory, "there is something else in this folder");
            }
        }
    }

    private static Fd openLock(Path file) throws IOException {
        try {
            return Fd.open(file, Fd.Access.READ_WRITE, Fd.Option.CREATE_NEW);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.EEXIST) {
                throw e;
            }
            return Fd.open(file, Fd.Access.READ_WRITE);
        }
    }

    /// Writes what {@link Snapshot#state} will have. Not on the disk before {@link #commit}.
    public void writeState(Map<String, Object> state) throws IOException {
        byte[] json = Json.write(state);
        String name = "state-%s.json".formatted(id);
        writeFile(newFile(name), json);
        statePart = part(name, json);
    }

    /// Begins to write memory in several goes; {@link #finishMemory} takes it then. The caller
    /// closes it in any case.
    ///
    /// @param base whose memory shows where this one's has nothing; null for none
    /// @throws SnapshotException if `base` is of another machine, or it or what it lies over in
    ///   this folder
    public MemoryCopy beginMemory(GuestMemory memory, @Nullable Snapshot base) throws IOException {
        if (base != null) {
            if (base.hasMemoryIn(directory)) {
                throw new SnapshotException(
                        directory, "a snapshot cannot take the place of one that it lies over");
            }
            if (!base.memory().equals(memory.ranges())) {
                throw new SnapshotException(
                        base.directory(), "its machine has another memory than this one");
            }
        }
        Fd file = Fd.open(newFile(MEMORY + id), Fd.Access.READ_WRITE);
        GuestMemory below = null;
        MemoryCopy copy = null;
        try {
            below = base == null ? null : base.openMemory();
            copy = new MemoryCopy(file, memory, below, checkpoint);
        } finally {
            if (copy == null) {
                file.close();
                if (below != null) {
                    below.close();
                }
            }
        }
        memoryRanges = memory.ranges();
        memoryBase = base;
        return copy;
    }

    /// Fails if memory could not be compressed.
    public void prepareCompression() throws IOException {
        CompressedMemory.prepare();
    }

    /// All of the memory has been written. Not on the disk before {@link #commit}.
    public void finishMemory(MemoryCopy copy, MemoryCompression compression) throws IOException {
        memoryPart =
                switch (compression) {
                    case NONE -> part(MEMORY + id, copy.finish());
                    case ZSTD -> compress(copy);
                };
        Snapshot below = memoryBase;
        if (below != null) {
            byte[] index = MemoryIndex.encode(copy.runs());
            String name = "index-" + id;
            writeFile(newFile(name), index);
            Path from = directory.toAbsolutePath().normalize();
            base =
                    new Manifest.Base(
                            from.relativize(below.directory().toAbsolutePath().normalize())
                                    .toString(),
                            below.memoryPart(),
                            part(name, index));
        }
    }

    /// Puts a compressed file in the place of the memory's.
    private Manifest.Part compress(MemoryCopy copy) throws IOException {
        String name = MEMORY + id + CompressedMemory.SUFFIX;
        Manifest.Part part;
        try (Fd to = Fd.open(newFile(name), Fd.Access.WRITE)) {
            part = part(name, copy.compress(to));
        }
        Path plain = directory.resolve(MEMORY + id);
        Files.delete(plain);
        written.remove(plain);
        return part;
    }

    /// Where the copy of one of the guest's disks goes, which {@link #finishDisk} takes then.
    public Path newDisk() {
        Path file = directory.resolve("disk%d-%s.qcow2".formatted(diskCount++, id));
        written.add(file);
        return file;
    }

    /// The copy is whole, on the disk, and closed.
    ///
    /// @param file as {@link #newDisk} has said
    public void finishDisk(String name, Path file) throws IOException {
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(PRIVATE));
        disks.put(name, FilePart.of(file));
    }

    /// Makes all that has been written the folder's snapshot.
    ///
    /// @param cpu what the guest was told of its processor
    /// @param boot what was booted
    /// @param attributes what {@link Snapshot#attributes} will have
    /// @throws IllegalStateException if the state or the memory is missing
    public void commit(
            Topology topology,
            CpuFeatures cpu,
            BootDescription boot,
            Map<String, String> attributes)
            throws IOException {
        Manifest.Part state = statePart;
        Manifest.Part memory = memoryPart;
        if (state == null || memory == null) {
            throw new IllegalStateException("a part is missing");
        }
        Path kernel = boot.kernel();
        var manifest =
                new Manifest(
                        Instant.now().truncatedTo(ChronoUnit.MILLIS).toString(),
                        topology,
                        cpu,
                        memoryRanges,
                        kernel == null ? null : kernel.toAbsolutePath().toString(),
                        boot.commandLine(),
                        boot.compressed(),
                        attributes,
                        state,
                        memory,
                        base,
                        disks);
        List<Path> parts = List.copyOf(written);
        Path temporary = newFile("manifest-" + id);
        writeFile(temporary, manifest.toBytes());
        for (Path file : parts) {
            checkpoint.pass();
            synchronize(file);
        }
        synchronize(temporary);
        synchronizeDirectory(directory); // the parts are there before the manifest names them
        Files.move(
                temporary,
                directory.resolve(Manifest.NAME),
                StandardCopyOption.ATOMIC_MOVE,
                StandardCopyOption.REPLACE_EXISTING);
        committed = true;
        synchronizeDirectory(directory);
        if (madeDirectory) {
            Path parent = directory.toAbsolutePath().getParent();
            if (parent != null) {
                synchronizeDirectory(parent);
            }
        }
        deleteOthers(parts);
    }

    private static Manifest.Part part(String name, MemoryFile.Written result) {
        return new Manifest.Part(name, result.size(), result.sum());
    }

    private static Manifest.Part part(String name, byte[] content) {
        return new Manifest.Part(name, content.length, Manifest.crc32c(content, 0, content.length));
    }

    private Path newFile(String name) throws IOException {
        Path file = directory.resolve(name);
        written.add(file);
        return Files.createFile(file, permissions(PRIVATE));
    }

    private static void writeFile(Path file, byte[] bytes) throws IOException {
        try (Fd fd = Fd.open(file, Fd.Access.WRITE);
                var arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes);
            long at = 0;
            while (at < bytes.length) {
                at += fd.pwrite(content.asSlice(at), at);
            }
        }
    }

    private void synchronize(Path file) throws IOException {
        if (!durable) {
            return;
        }
        try (Fd fd = Fd.open(file, Fd.Access.WRITE)) {
            fd.fdatasync();
        }
    }

    private void synchronizeDirectory(Path folder) throws IOException {
        if (!durable) {
            return;
        }
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    /// What earlier snapshots had, whether they were finished or not.
    private void deleteOthers(List<Path> keep) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, PARTS)) {
            for (Path file : files) {
                if (!keep.contains(file)) {
                    Files.delete(file);
                }
            }
        }
    }

    /// Ends it; deletes what has not become a snapshot.
    @Override
    public void close() throws IOException {
        try {
            if (!committed) {
                for (Path file : written) {
                    Files.deleteIfExists(file);
                }
                if (madeDirectory) {
                    Files.deleteIfExists(directory.resolve(LOCK));
                    Files.deleteIfExists(directory);
                }
            }
        } finally {
            lock.close();
        }
    }
}
