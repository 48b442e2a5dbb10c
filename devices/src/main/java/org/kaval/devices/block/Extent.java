package org.kaval.devices.block;

/// Bytes of an image that follow each other and are alike.
///
/// @param length at least 1
public record Extent(Kind kind, long length) {
    /// Where they come from.
    public enum Kind {
        /// The image has them.
        DATA,
        /// They are zeroes, which the image knows without reading.
        ZERO,
        /// The image has nothing here: they are those of the image below, or zeroes without one.
        ABSENT
    }
}
