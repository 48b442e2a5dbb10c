package org.kaval.devices.block;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// What is done to whole images while no guest uses them: copying one, merging one into the one
/// below, putting one over another.
///
/// What is made anew is gone again if that fails. What is changed stays right at any moment: an
/// operation that was cut off can be begun again.
public final class ImageOperations {
    private static final int STEP = 1 << 20;
    private static final int GRAIN = 4096; // zeroes of this size are not copied

    private ImageOperations() {}

    /// Copies an image, with what is below it, to a new file.
    ///
    /// @param format of a qcow2 image, whose size is that of `from`; null makes a raw one
    public static void convert(
            BlockImage from, Path to, @Nullable Qcow2Format format, Progress progress)
            throws IOException {
        BlockImage target = create(to, from.size(), format);
        fill(to, target, () -> copy(from, target, progress));
    }

    /// Copies an image, with what is below it, to a new qcow2 image whose clusters are compressed.
    /// What a guest writes to it later is not.
    ///
    /// @param format whose compression is zlib
    public static void compress(BlockImage from, Path to, Qcow2Format format, Progress progress)
            throws IOException {
        if (format.zstd()) {
            throw new IllegalArgumentException("zstd is only read");
        }
        Images.create(to, format);
        Qcow2Image target =
                Qcow2Image.over(
                        HostFile.open(to, ImageOptions.WRITABLE), ImageOptions.WRITABLE, null);
        fill(
                to,
                target,
                () -> {
                    try (var copy = new CompressedCopy(target)) {
                        copy.of(from, progress);
                    }
                });
    }

    private interface Filling {
        void run() throws IOException;
    }

    /// Fills a new image, which is gone again if that fails.
    private static void fill(Path path, BlockImage image, Filling filling) throws IOException {
        boolean made = false;
        try {
            try (image) {
                filling.run();
                image.flush();
            }
            made = true;
        } finally {
            if (!made) {
                Files.deleteIfExists(path);
            }
        }
    }

    private static BlockImage create(Path path, long size, @Nullable Qcow2Format format)
            throws IOException {
        if (format == null) {
            return RawImage.create(path, size);
        }
        Images.create(path, format);
        return Images.open(path, ImageFormat.QCOW2, ImageOptions.WRITABLE);
    }

    private static void copy(BlockImage from, BlockImage to, Progress progress) throws IOException {
        Buffer buffer = Buffer.allocate(STEP);
        long size = from.size();
        for (long at = 0; at < size; ) {
            progress.at(at, size);
            Extent extent = Layers.extent(from, at, size - at);
            long length = extent.length();
            if (extent.kind() == Extent.Kind.DATA) {
                length = Math.min(length, STEP);
                from.read(at, buffer.vector(), 0, length);
                writeWhatIsNotZero(to, at, buffer, length);
            }
            at += length;
        }
        progress.at(size, size);
    }

    /// Writes what is not zero to an image that has nothing there.
    static void writeWhatIsNotZero(BlockImage to, long offset, Buffer buffer, long length)
            throws IOException {
        long at = 0;
        while (at < length) {
            long end = at;
            while (end < length && !isZero(buffer.bytes(), end, Math.min(GRAIN, length - end))) {
                end += Math.min(GRAIN, length - end);
            }
            to.write(offset + at, buffer.vector(), at, end - at);
            at = end + Math.min(GRAIN, length - end);
        }
    }

    private static boolean isZero(MemorySegment bytes, long at, long length) {
        MemorySegment zeroes = Zeroes.segment();
        return MemorySegment.mismatch(bytes, at, at + length, zeroes, 0, length) < 0;
    }

    /// Writes what a qcow2 image has itself to the image below it, and empties it then.
    public static void commit(Path path, Progress progress) throws IOException {
        Qcow2Header header;
        // what is below is not opened: it is written, and so may not be read beside that
        try (Qcow2Image top =
                Qcow2Image.over(
                        HostFile.open(path, ImageOptions.WRITABLE), ImageOptions.WRITABLE, null)) {
            header = top.header();
            String name = header.backingFile();
            if (name == null) {
                throw new IOException(path + ": there is no image below");
            }
            Path below = Images.backingPath(path, name);
            try (BlockImage base =
                    Images.open(below, Images.backingFormat(header), ImageOptions.WRITABLE)) {
                if (base.size() < top.size()) {
                    base.resize(top.size());
                }
                Buffer buffer = Buffer.allocate(STEP);
                Layers.visit(
                        top, STEP, progress, (at, extent) -> merge(top, base, at, extent, buffer));
                base.flush();
            }
            top.clear();
        }
    }

    private static void merge(
            BlockImage top, BlockImage base, long at, Extent extent, Buffer buffer)
            throws IOException {
        switch (extent.kind()) {
            case DATA -> {
                top.read(at, buffer.vector(), 0, extent.length());
                base.write(at, buffer.vector(), 0, extent.length());
            }
            case ZERO -> base.writeZeroes(at, extent.length(), true);
            case ABSENT -> {}
        }
    }

    /// Puts a qcow2 image over another one, so that its content stays: it takes what differs.
    ///
    /// @param backing as the image is to name it; null for nothing below
    public static void rebase(
            Path path, @Nullable String backing, @Nullable ImageFormat format, Progress progress)
            throws IOException {
        try (BlockImage image = Images.open(path, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            BlockImage after =
                    backing == null || format == null
                            ? null
                            : Images.open(
                                    Images.backingPath(path, backing),
                                    format,
                                    ImageOptions.READ_ONLY);
            try (after) {
                Buffer[] buffers = {Buffer.allocate(STEP), Buffer.allocate(STEP)};
                Layers.visit(
                        image,
                        STEP,
                        progress,
                        (at, extent) -> {
                            if (extent.kind() == Extent.Kind.ABSENT) {
                                keep(image, after, at, extent.length(), buffers);
                            }
                        });
            }
        }
        rename(path, backing, format);
    }

    /// Copies into `image` what would change with `after` below it.
    private static void keep(
            BlockImage image, @Nullable BlockImage after, long at, long length, Buffer[] buffers)
            throws IOException {
        MemorySegment old = buffers[0].bytes();
        image.read(at, buffers[0].vector(), 0, length);
        long there = after == null ? 0 : Math.clamp(after.size() - at, 0, length);
        if (after != null && there > 0) {
            after.read(at, buffers[1].vector(), 0, there);
        }
        buffers[1].vector().fillWithZeroes(there, length - there);
        for (long from = 0; from < length; from += GRAIN) {
            long end = Math.min(from + GRAIN, length);
            if (MemorySegment.mismatch(old, from, end, buffers[1].bytes(), from, end) >= 0) {
                image.write(at + from, buffers[0].vector(), from, end - from);
            }
        }
    }

    /// Makes a qcow2 image name another one below it, whatever that has: for one that was moved, or
    /// whose format is missing.
    ///
    /// @param backing as the image is to name it; null for nothing below
    public static void rename(Path path, @Nullable String backing, @Nullable ImageFormat format)
            throws IOException {
        if ((backing == null) != (format == null)) {
            throw new IllegalArgumentException("a backing file and its format go together");
        }
        try (HostFile file = HostFile.open(path, ImageOptions.WRITABLE)) {
            Qcow2Header header = Qcow2Header.read(file);
            Buffer cluster =
                    header.withBacking(backing, format == null ? null : format.title()).encode();
            // fields that are newer than this program stay
            Buffer before = Buffer.allocate(header.headerLength());
            file.read(0, before.vector(), 0, header.headerLength());
            long place = cluster.bytes().get(Qcow2.BE64, Qcow2.BACKING_OFFSET);
            int size = cluster.bytes().get(Qcow2.BE32, Qcow2.BACKING_SIZE);
            cluster.bytes().asSlice(0, header.headerLength()).copyFrom(before.bytes());
            cluster.bytes().set(Qcow2.BE64, Qcow2.BACKING_OFFSET, place);
            cluster.bytes().set(Qcow2.BE32, Qcow2.BACKING_SIZE, size);
            file.write(0, cluster.vector(), 0, header.clusterSize());
            file.flush();
        }
    }
}
