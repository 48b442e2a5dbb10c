package org.kaval.devices.block;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/// How the bytes of a disk are kept in a file.
public enum ImageFormat {
    RAW,
    QCOW2;

    /// `raw`, `qcow2`: what users and images call it.
    public String title() {
        return name().toLowerCase(Locale.ROOT);
    }

    /// The format with this name.
    public static Optional<ImageFormat> named(String title) {
        return Stream.of(values()).filter(format -> format.title().equals(title)).findFirst();
    }

    /// The format of a file whose user has not said it, by the end of its name: `.qcow2` is qcow2,
    /// all else is raw. What is in the file has no say, because a guest may have written it; but
    /// where it speaks against the name, the user must decide.
    public static ImageFormat byName(Path path) throws IOException {
        if (path.toString().endsWith("." + QCOW2.title())) {
            return QCOW2;
        }
        if (Qcow2Header.isThere(path)) {
            throw new IOException(
                    path
                            + ": begins like a qcow2 image, but a guest may have written that;"
                            + " say which it is: format=raw or format=qcow2");
        }
        return RAW;
    }
}
