package org.kaval.devices.block;

/// Clusters, or parts of one, that follow each other in the disk and are alike: what {@link
/// ClusterMap#lookup} finds. Used again and again.
final class Run {
    enum Kind {
        /// Nothing here: the backing file's, or zeroes.
        ABSENT,
        /// Zeroes, with or without a place in the file.
        ZERO,
        /// At `host` in the file, and one after the other.
        DATA,
        /// Compressed; `entry` says where.
        COMPRESSED
    }

    Kind kind = Kind.ABSENT;

    /// How many bytes, from the one that was asked for on.
    long length;

    /// Where the byte that was asked for is in the file; of {@link Kind#DATA}.
    long host;

    /// The entry of the first cluster.
    long entry;

    /// Whether the file has these clusters for this place of the disk alone, so that they may be
    /// written where they are.
    boolean writable;

    /// Which readers this is one of; see {@link ClusterMap#awaitReaders}.
    int generation;
}
