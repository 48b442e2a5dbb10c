package org.kaval.machine.snapshot;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import com.github.luben.zstd.ZstdDecompressCtx;
import com.github.luben.zstd.ZstdException;
import com.github.luben.zstd.util.Native;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.CRC32C;
import org.kaval.devices.Checkpoint;
import org.kaval.linux.Fd;
import org.kaval.linux.Mmap;
import org.kaval.memory.Backing;

/// A {@link MemoryFile} compressed by Zstandard (RFC 8878): pieces of it, each a frame behind a
/// skippable frame that says where the piece belongs.
///
/// ```
/// 0x184d2a50   4 bytes, little-endian as all
/// 16           what follows of the skippable frame, 4 bytes
/// offset       of the piece in the uncompressed file, 8 bytes
/// length       of the piece, whole pages of one region, at most 1 MiB; 4 bytes
/// size         of the frame with it, which follows; 4 bytes
/// ```
///
/// What is in no piece is zero, or what lies below. The sum is CRC32C of the file as it is.
final class CompressedMemory {
    /// What names of such files end with.
    static final String SUFFIX = ".zst";

    private static final int MAGIC = 0x184d_2a50;
    private static final int HEADER = 24;
    private static final int PIECE = 1 << 20;

    /// Zeros between data are not worth a piece of their own each.
    private static final int GAP = 64 << 10;

    /// Higher ones take several times as long, and what they spare is little.
    private static final int LEVEL = 1;

    private static final ValueLayout.OfInt LE32 =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LE64 =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private CompressedMemory() {}

    /// Loads the library that compresses and decompresses, if that has not been done.
    ///
    /// @throws IOException if it cannot be loaded
    static void prepare() throws IOException {
        try {
            Native.load();
        } catch (LinkageError e) {
            throw new IOException(
                    "Zstandard's library cannot be loaded from %s: %s"
                            .formatted(System.getProperty("java.io.tmpdir"), e.getMessage()),
                    e);
        }
    }

    /// Where decompressed memory goes.
    interface Target {
        /// @return that part of memory
        /// @throws SnapshotException if it is not in one region
        MemorySegment at(long offset, long length) throws SnapshotException;
    }

    /// Compresses all that is in `memory`.
    ///
    /// @param sizes of its regions
    /// @param to an empty file; it is not on the disk then
    static MemoryFile.Written write(Fd memory, List<Long> sizes, Fd to, Checkpoint checkpoint)
            throws IOException {
        try (var writer = new Writer(memory, to, checkpoint)) {
            FileExtents.forEach(memory, sizes, GAP, writer::add);
            return writer.written();
        }
    }

    /// Compresses what is over another memory.
    ///
    /// @param runs what that is
    static MemoryFile.Written writeRuns(
            Fd memory, List<Backing.Run> runs, Fd to, Checkpoint checkpoint) throws IOException {
        try (var writer = new Writer(memory, to, checkpoint)) {
            for (Backing.Run run : runs) {
                writer.add(run.offset(), run.length());
            }
            return writer.written();
        }
    }

    private static final class Writer implements AutoCloseable {
        private final Fd memory;
        private final Fd file;
        private final Checkpoint checkpoint;
        private final Arena arena = Arena.ofConfined();
        private final ZstdCompressCtx context = new ZstdCompressCtx();
        private final MemorySegment piece = arena.allocate(PIECE);
        private final MemorySegment frames = arena.allocate(HEADER + Zstd.compressBound(PIECE));
        private final CRC32C sum = new CRC32C();
        private long size;

        Writer(Fd memory, Fd file, Checkpoint checkpoint) {
            this.memory = memory;
            this.file = file;
            this.checkpoint = checkpoint;
            context.setLevel(LEVEL);
        }

        void add(long offset, long length) throws IOException {
            for (long at = 0; at < length; at += PIECE) {
                checkpoint.pass();
                MemorySegment part = piece.asSlice(0, Math.min(PIECE, length - at));
                MemoryFile.readAll(memory, part, offset + at);
                addPiece(offset + at, part);
            }
        }

        private void addPiece(long offset, MemorySegment part) throws IOException {
            int length =
                    context.compress(frames.asSlice(HEADER).asByteBuffer(), part.asByteBuffer());
            frames.set(LE32, 0, MAGIC);
            frames.set(LE32, 4, HEADER - 8);
            frames.set(LE64, 8, offset);
            frames.set(LE32, 16, (int) part.byteSize());
            frames.set(LE32, 20, length);
            MemorySegment both = frames.asSlice(0, HEADER + length);
            sum.update(both.asByteBuffer());
            MemoryFile.writeAll(file, both, size);
            size += both.byteSize();
        }

        MemoryFile.Written written() {
            return new MemoryFile.Written(size, (int) sum.getValue());
        }

        @Override
        public void close() {
            context.close();
            arena.close();
        }
    }

    /// Decompresses a file, and compares its check sum.
    ///
    /// @throws SnapshotException if it is another than `part` says
    static void read(Path file, Manifest.Part part, Target target) throws IOException {
        prepare();
        var sum = new CRC32C();
        try (Fd fd = Fd.open(file, Fd.Access.READ);
                Arena arena = Arena.ofConfined();
                var context = new ZstdDecompressCtx()) {
            MemorySegment frames = arena.allocate(HEADER + Zstd.compressBound(PIECE));
            long at = 0;
            while (at < part.size()) {
                int size = readHeader(file, fd, at, part.size(), frames);
                MemorySegment frame = frames.asSlice(HEADER, size);
                MemoryFile.readAll(fd, frame, at + HEADER);
                sum.update(frames.asSlice(0, HEADER + size).asByteBuffer());
                int length = frames.get(LE32, 16);
                decompress(file, context, frame, target.at(frames.get(LE64, 8), length));
                at += HEADER + size;
            }
        }
        if ((int) sum.getValue() != part.sum()) {
            throw altered(file, "its check sum is not the manifest's");
        }
    }

    /// Reads the header at `at` of a file that ends at `end` to the beginning of `frames`.
    ///
    /// @return the size of the frame behind it, for which there is room in `frames`
    private static int readHeader(Path file, Fd fd, long at, long end, MemorySegment frames)
            throws IOException {
        boolean there = end - at >= HEADER;
        if (there) {
            MemoryFile.readAll(fd, frames.asSlice(0, HEADER), at);
        }
        if (!there || frames.get(LE32, 0) != MAGIC || frames.get(LE32, 4) != HEADER - 8) {
            throw altered(file, "there is no piece where one should be");
        }
        int length = frames.get(LE32, 16);
        int size = frames.get(LE32, 20);
        if (length <= 0 || length > PIECE || length % Mmap.PAGE_SIZE != 0) {
            throw altered(file, "a piece of %d bytes".formatted(Integer.toUnsignedLong(length)));
        }
        if (size < 0 || size > Math.min(frames.byteSize(), end - at) - HEADER) {
            throw altered(file, "a frame of %d bytes".formatted(Integer.toUnsignedLong(size)));
        }
        return size;
    }

    private static void decompress(
            Path file, ZstdDecompressCtx context, MemorySegment frame, MemorySegment to)
            throws SnapshotException {
        int length;
        try {
            length = context.decompress(to.asByteBuffer(), frame.asByteBuffer());
        } catch (ZstdException e) {
            throw altered(file, "not as Zstandard has it: " + e.getMessage());
        }
        if (length != to.byteSize()) {
            throw altered(
                    file, "%d bytes, where there should be %d".formatted(length, to.byteSize()));
        }
    }

    private static SnapshotException altered(Path file, String how) {
        return new SnapshotException(file, "altered: " + how);
    }
}
