package org.kaval.machine.boot;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/// Decompressed kernels, each under the SHA-256 of the bzImage that it came out of.
///
/// A file is the kernel and 24 bytes more, little-endian:
///
/// | size | what                                    |
/// |-----:|-----------------------------------------|
/// |    8 | `KavalK01`                              |
/// |    8 | how many bytes the kernel has           |
/// |    8 | the CRC-32C of the kernel and its size  |
///
/// The checksum finds files that are broken, by a full disk or a bad one. It is no protection from
/// whoever may write to the user's cache; such a one may write anything. It takes milliseconds
/// where a cryptographic one would take longer than the start of a machine.
///
/// A cache that cannot be read or written makes starts slower, and no error. Any thread, any
/// process: files come into being whole, by renaming.
final class KernelCache {
    private static final Logger LOG = System.getLogger(KernelCache.class.getName());

    /// Some 50 MiB each.
    private static final int MAX_FILES = 8;

    /// Behind which age a file that is being written is one that was left behind.
    private static final long STALE_MILLIS = 3_600_000;

    private static final String UNFINISHED = ".tmp";
    private static final long MAGIC = 0x3130_4b6c_6176_614bL;
    private static final int TRAILER = 24;
    private static final int CHUNK = 1 << 20;

    private final Path directory;

    KernelCache(Path directory) {
        this.directory = directory;
    }

    /// That of the user: `$XDG_CACHE_HOME/kaval/kernels`, or below `~/.cache` (XDG Base Directory
    /// Specification, which has relative paths ignored).
    static KernelCache ofUser() {
        return ofUser(System.getenv("XDG_CACHE_HOME"), System.getProperty("user.home"));
    }

    static KernelCache ofUser(@Nullable String variable, String home) {
        Path base =
                variable != null && Path.of(variable).isAbsolute()
                        ? Path.of(variable)
                        : Path.of(home, ".cache");
        return new KernelCache(base.resolve("kaval").resolve("kernels"));
    }

    Path directory() {
        return directory;
    }

    /// Opens a kernel that is in the cache and whole. One that is broken is removed.
    ///
    /// @param key the SHA-256 of its bzImage, in hexadecimal
    /// @param name for messages
    Optional<ImageFile> open(String key, String name) {
        Path path = directory.resolve(key);
        if (!Files.isRegularFile(path)) {
            return Optional.empty();
        }
        try {
            FileChannel channel = FileChannel.open(path, StandardOpenOption.READ);
            boolean whole = false;
            try {
                whole = isWhole(channel);
                if (whole) {
                    touch(path);
                    return Optional.of(ImageFile.of(name, channel, channel.size() - TRAILER));
                }
            } finally {
                if (!whole) {
                    channel.close();
                }
            }
            LOG.log(Level.WARNING, "{0}: a broken cached kernel; made anew", path);
            Files.deleteIfExists(path);
        } catch (IOException e) {
            LOG.log(Level.WARNING, "cannot read cached kernel {0}: {1}", path, e);
        }
        return Optional.empty();
    }

    /// Adds a kernel, and removes those that have not been used for longest.
    void add(String key, MemorySegment kernel) {
        try {
            Files.createDirectories(
                    directory,
                    PosixFilePermissions.asFileAttribute(
                            PosixFilePermissions.fromString("rwx------")));
            Path unfinished = Files.createTempFile(directory, key, UNFINISHED);
            try {
                write(unfinished, kernel);
                Files.move(
                        unfinished,
                        directory.resolve(key),
                        StandardCopyOption.ATOMIC_MOVE,
                        StandardCopyOption.REPLACE_EXISTING);
            } finally {
                Files.deleteIfExists(unfinished);
            }
            prune();
        } catch (IOException e) {
            LOG.log(Level.WARNING, "cannot cache a kernel in {0}: {1}", directory, e);
        }
    }

    private static void write(Path path, MemorySegment kernel) throws IOException {
        ByteBuffer bytes = kernel.asByteBuffer();
        var crc = new CRC32C();
        crc.update(bytes.duplicate());
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
            writeAll(channel, bytes);
            writeAll(channel, trailer(kernel.byteSize(), crc));
        }
    }

    private static void writeAll(FileChannel channel, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    /// @param crc of the kernel
    private static ByteBuffer trailer(long size, CRC32C crc) {
        ByteBuffer trailer = ByteBuffer.allocate(TRAILER).order(ByteOrder.LITTLE_ENDIAN);
        trailer.putLong(MAGIC).putLong(size);
        crc.update(trailer.duplicate().flip());
        return trailer.putLong(crc.getValue()).flip();
    }

    private static boolean isWhole(FileChannel channel) throws IOException {
        long size = channel.size() - TRAILER;
        if (size < 0) {
            return false;
        }
        var crc = new CRC32C();
        ByteBuffer chunk = ByteBuffer.allocate(CHUNK);
        for (long done = 0; done < size; ) {
            chunk.clear().limit((int) Math.min(CHUNK, size - done));
            int count = channel.read(chunk, done);
            if (count < 0) {
                return false;
            }
            crc.update(chunk.flip());
            done += count;
        }
        ByteBuffer trailer = ByteBuffer.allocate(TRAILER);
        int count = 0;
        while (trailer.hasRemaining() && count >= 0) {
            count = channel.read(trailer, size + trailer.position());
        }
        return trailer.flip().equals(trailer(size, crc));
    }

    /// Notes that it has been used.
    private static void touch(Path path) throws IOException {
        Files.setLastModifiedTime(path, FileTime.fromMillis(System.currentTimeMillis()));
    }

    private void prune() throws IOException {
        var kernels = new ArrayList<Aged>();
        long now = System.currentTimeMillis();
        for (Path file : files()) {
            var aged = new Aged(file, Files.getLastModifiedTime(file).toMillis());
            if (!file.toString().endsWith(UNFINISHED)) {
                kernels.add(aged);
            } else if (aged.modified < now - STALE_MILLIS) {
                Files.deleteIfExists(file);
            }
        }
        kernels.sort(Comparator.comparingLong(Aged::modified).reversed());
        for (Aged kernel : kernels.subList(Math.min(MAX_FILES, kernels.size()), kernels.size())) {
            Files.deleteIfExists(kernel.file);
        }
    }

    private record Aged(Path file, long modified) {}

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.toList();
        }
    }
}
