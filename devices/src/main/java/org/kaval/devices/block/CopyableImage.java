package org.kaval.devices.block;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.IoUring;
import org.kaval.linux.IoVector;

/// An image that can be copied as it is at one moment, while a guest goes on to use it: what the
/// guest changes is copied before it is changed.
///
/// While no copy is made it costs a look at a field for each change, and reads never cost more. Any
/// thread, as any {@link BlockImage}.
public final class CopyableImage extends ForwardingImage {
    private volatile @Nullable ImageCopy copy;

    private CopyableImage(BlockImage image) {
        super(image);
    }

    /// Takes over `image`, which is closed with it.
    public static CopyableImage of(BlockImage image) {
        return new CopyableImage(image);
    }

    /// Makes a new qcow2 file for a copy, which {@link ImageCopy#begin} begins. The image is not
    /// closed before the copy.
    ///
    /// The copy has what an overlay has itself, and names the image below the overlay, unless that
    /// one `mayGo`; everything else is copied as a whole.
    ///
    /// @param file must not exist; deleting it if the copy does not become whole is the caller's
    /// @param mayGo of images below which may not be there for as long as the copy
    public ImageCopy prepareCopy(Path file, FileTest mayGo) throws IOException {
        BlockImage below = Layers.below(image);
        boolean keepsBelow = below != null && isFile(below) && !mayGo.test(Path.of(below.name()));
        Qcow2Format format = Qcow2Format.of(image.size());
        if (below != null && keepsBelow) {
            format =
                    format.over(
                            Path.of(below.name()).toAbsolutePath().toString(),
                            below instanceof Qcow2Image ? ImageFormat.QCOW2 : ImageFormat.RAW);
        }
        Images.create(file, format);
        // with what is below, which fills clusters of which a part is written
        BlockImage target = Images.open(file, ImageFormat.QCOW2, ImageOptions.WRITABLE);
        return new ImageCopy(image, target, keepsBelow, this::tell);
    }

    /// From now on `under` hears of changes; null for nobody.
    private void tell(@Nullable ImageCopy under) {
        if (under != null && copy != null) {
            throw new IllegalStateException(name() + " is being copied already");
        }
        copy = under;
    }

    /// What is said of a file.
    @FunctionalInterface
    public interface FileTest {
        boolean test(Path file);
    }

    /// An overlay that is gone in the end has no name by which another process could open it.
    private static boolean isFile(BlockImage image) {
        return Files.exists(Path.of(image.name()));
    }

    private void beforeChange(long offset, long length) {
        ImageCopy under = copy;
        if (under != null) {
            under.beforeChange(offset, length);
        }
    }

    @Override
    public @Nullable RingAccess rings() {
        RingAccess access = image.rings();
        return access == null ? null : new Copying(access);
    }

    /// Begins nothing before what it changes has been copied.
    private final class Copying implements RingAccess {
        private final RingAccess access;

        Copying(RingAccess access) {
            this.access = access;
        }

        @Override
        public boolean read(IoUring ring, long token, long offset, IoVector into) {
            return access.read(ring, token, offset, into);
        }

        @Override
        public boolean write(IoUring ring, long token, long offset, IoVector source) {
            beforeChange(offset, source.byteSize());
            return access.write(ring, token, offset, source);
        }

        @Override
        public boolean flush(IoUring ring, long token) {
            return access.flush(ring, token);
        }

        @Override
        public void flushed(int result) throws IOException {
            access.flushed(result);
        }
    }

    @Override
    public void write(long offset, IoVector source, long from, long length) throws IOException {
        beforeChange(offset, length);
        image.write(offset, source, from, length);
    }

    @Override
    public void discard(long offset, long length) throws IOException {
        beforeChange(offset, length);
        image.discard(offset, length);
    }

    @Override
    public void writeZeroes(long offset, long length, boolean mayUnmap) throws IOException {
        beforeChange(offset, length);
        image.writeZeroes(offset, length, mayUnmap);
    }

    @Override
    public void resize(long bytes) throws IOException {
        if (bytes < size()) {
            beforeChange(bytes, size() - bytes);
        }
        image.resize(bytes);
    }
}
