package org.kaval.devices.block;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// Opens and makes images of any format, with what is below them.
public final class Images {
    private static final int MOST_LAYERS = 200;
    private static final Pattern PROTOCOL = Pattern.compile("[a-z0-9+.-]+:.*");

    private Images() {}

    /// Opens an image and the images below it; these are read only.
    public static BlockImage open(Path path, ImageFormat format, ImageOptions options)
            throws IOException {
        return open(path, format, options, 0);
    }

    private static BlockImage open(Path path, ImageFormat format, ImageOptions options, int depth)
            throws IOException {
        return switch (format) {
            case RAW -> RawImage.open(path, options);
            case QCOW2 -> openQcow2(path, options, depth);
        };
    }

    private static Qcow2Image openQcow2(Path path, ImageOptions options, int depth)
            throws IOException {
        HostFile file = HostFile.open(path, options);
        BlockImage backing = null;
        boolean opened = false;
        try {
            backing = openBacking(path, Qcow2Header.read(file), options, depth);
            opened = true;
        } finally {
            if (!opened) {
                file.close();
            }
        }
        return Qcow2Image.over(file, options, backing);
    }

    private static @Nullable BlockImage openBacking(
            Path path, Qcow2Header header, ImageOptions options, int depth) throws IOException {
        String name = header.backingFile();
        if (name == null) {
            return null;
        }
        if (depth == MOST_LAYERS) {
            throw new IOException(
                    "%s: more than %d images over each other; is one of them its own backing file?"
                            .formatted(path, MOST_LAYERS));
        }
        ImageFormat format = backingFormat(header);
        return open(backingPath(path, name), format, options.withReadOnly(true), depth + 1);
    }

    /// The format of the backing file as the image says; it is never told by what is in the file.
    static ImageFormat backingFormat(Qcow2Header header) throws IOException {
        String title =
                header.backingFormat()
                        .orElseThrow(() ->
                                new CorruptImageException(
                                        header.name(),
                                        Qcow2.BACKING_OFFSET,
                                        ("the backing file '%1$s' without a format, expected one; say"
                                                        + " which it is: kaval disk rebase --unsafe"
                                                        + " --backing '%1$s' --backing-format"
                                                        + " raw|qcow2")
                                                .formatted(header.backingFile())));
        return ImageFormat.named(title)
                .orElseThrow(() ->
                        new CorruptImageException(
                                header.name(),
                                header.headerLength(),
                                "a backing file in the format '%s', expected raw or qcow2"
                                        .formatted(title)));
    }

    /// Where a backing file is that the image at `image` names.
    static Path backingPath(Path image, String name) throws IOException {
        String plain = name.startsWith("file:") ? name.substring("file:".length()) : name;
        if (PROTOCOL.matcher(plain).matches()) {
            throw new IOException(
                    "%s: the backing file '%s' is not a file of this host".formatted(image, name));
        }
        return image.resolveSibling(plain);
    }

    /// Makes a qcow2 image in a file that must not exist, and opens it.
    public static void create(Path path, Qcow2Format format) throws IOException {
        HostFile file = HostFile.create(path);
        boolean made = false;
        try (file) {
            format.write(file);
            made = true;
        } finally {
            if (!made) {
                Files.deleteIfExists(path);
            }
        }
    }

    /// Lays an image over `below` which takes all that is written, and is gone when it is closed:
    /// what is below stays as it is. `below` is closed with it, and also if this fails.
    ///
    /// @param directory of the file with what is written, which has no name there
    public static BlockImage overlay(BlockImage below, Path directory) throws IOException {
        boolean made = false;
        HostFile file = null;
        try {
            file = HostFile.temporary(directory, "overlay of " + below.name());
            Qcow2Format.of(below.size()).write(file);
            made = true;
        } finally {
            if (!made) {
                below.close();
                if (file != null) {
                    file.close();
                }
            }
        }
        return Qcow2Image.over(file, ImageOptions.WRITABLE, below);
    }

    /// `image` for one machine of several that have it one after the other, as when a guest
    /// restarts: closing it there flushes it, and whoever has lent it closes it in the end.
    public static BlockImage lend(BlockImage image) {
        return new LentImage(image);
    }
}
