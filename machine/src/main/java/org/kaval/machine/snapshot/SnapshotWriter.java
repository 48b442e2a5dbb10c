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
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
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
    private static final String PARTS = "{memory,state,manifest}-*";

    private final Path directory;
    private final boolean madeDirectory;
    private final Fd lock;
    private final String id = "%016x".formatted(ThreadLocalRandom.current().nextLong());
    private final List<Path> written = new ArrayList<>();
    private boolean committed;

    private SnapshotWriter(Path directory, boolean madeDirectory, Fd lock) {
        this.directory = directory;
        this.madeDirectory = madeDirectory;
        this.lock = lock;
    }

    /// Begins a snapshot. The folder is made if it is not there, for its owner alone: memory may
    /// hold secrets.
    ///
    /// @throws SnapshotException if the folder has something else, or somebody writes one there
    public static SnapshotWriter begin(Path directory) throws IOException {
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
            var writer = new SnapshotWriter(directory, made, lock);
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

    /// Writes all parts, and makes them the folder's snapshot.
    ///
    /// @param cpu what the guest was told of its processor
    /// @param boot what was booted
    /// @param attributes what {@link Snapshot#attributes} will have
    /// @param state what {@link Snapshot#state} will have
    public void commit(
            Topology topology,
            CpuFeatures cpu,
            GuestMemory memory,
            BootDescription boot,
            Map<String, String> attributes,
            Map<String, Object> state)
            throws IOException {
        Manifest.Part statePart = writeState(Json.write(state));
        Manifest.Part memoryPart = writeMemory(memory);
        Path kernel = boot.kernel();
        var manifest =
                new Manifest(
                        Instant.now().truncatedTo(ChronoUnit.MILLIS).toString(),
                        topology,
                        cpu,
                        memory.ranges(),
                        kernel == null ? null : kernel.toAbsolutePath().toString(),
                        boot.commandLine(),
                        boot.compressed(),
                        attributes,
                        statePart,
                        memoryPart);
        Path temporary = newFile("manifest-" + id);
        writeFile(temporary, manifest.toBytes());
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
        deleteOthers(List.of(statePart.file(), memoryPart.file()));
    }

    private Manifest.Part writeState(byte[] json) throws IOException {
        String name = "state-%s.json".formatted(id);
        writeFile(newFile(name), json);
        return new Manifest.Part(name, json.length, Manifest.crc32c(json, 0, json.length));
    }

    private Manifest.Part writeMemory(GuestMemory memory) throws IOException {
        String name = "memory-" + id;
        var regions = new ArrayList<MemorySegment>();
        for (GuestRange range : memory.ranges()) {
            regions.add(memory.slice(range.base(), range.size()));
        }
        Path file = newFile(name);
        try (Fd fd = Fd.open(file, Fd.Access.WRITE)) {
            MemoryFile.Written result = MemoryFile.write(fd, regions);
            return new Manifest.Part(name, result.size(), result.sum());
        }
    }

    private Path newFile(String name) throws IOException {
        Path file = directory.resolve(name);
        written.add(file);
        return Files.createFile(file, permissions("rw-------"));
    }

    private static void writeFile(Path file, byte[] bytes) throws IOException {
        try (Fd fd = Fd.open(file, Fd.Access.WRITE);
                var arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes);
            long at = 0;
            while (at < bytes.length) {
                at += fd.pwrite(content.asSlice(at), at);
            }
            fd.fdatasync();
        }
    }

    private static void synchronizeDirectory(Path directory) throws IOException {
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    /// What earlier snapshots had, whether they were finished or not.
    private void deleteOthers(List<String> keep) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, PARTS)) {
            for (Path file : files) {
                if (!keep.contains(file.getFileName().toString())) {
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
