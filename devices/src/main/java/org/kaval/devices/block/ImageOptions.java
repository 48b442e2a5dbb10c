package org.kaval.devices.block;

/// How an image is opened.
///
/// @param readOnly refuses all that changes it, and leaves others free to read it as well
/// @param cache where what is written is kept until a flush
/// @param discard what becomes of ranges that are not needed any more
/// @param locked whether to keep others from opening it in a way that is not safe; switched off for
///   files that only this process has
public record ImageOptions(boolean readOnly, Cache cache, Discard discard, boolean locked) {
    /// Where what is written is kept until a flush.
    public enum Cache {
        /// In the host's page cache.
        WRITEBACK,
        /// Nowhere: it goes to the disk past the page cache (`O_DIRECT`). Buffers that are not
        /// aligned as the disk wants it are copied through some that are, and a write of less than
        /// the disk's block reads the rest of it first.
        NONE,
        /// In the host's page cache, and flushes are ignored: for disks that need not survive.
        UNSAFE
    }

    /// What becomes of ranges that are not needed any more.
    public enum Discard {
        /// Their space goes back to the host's file system.
        UNMAP,
        /// Nothing.
        IGNORE
    }

    /// For reading and writing, through the page cache, with discard, locked.
    public static final ImageOptions WRITABLE =
            new ImageOptions(false, Cache.WRITEBACK, Discard.UNMAP, true);

    /// For reading.
    public static final ImageOptions READ_ONLY =
            new ImageOptions(true, Cache.WRITEBACK, Discard.UNMAP, true);

    public ImageOptions withReadOnly(boolean value) {
        return new ImageOptions(value, cache, discard, locked);
    }

    public ImageOptions withCache(Cache value) {
        return new ImageOptions(readOnly, value, discard, locked);
    }

    public ImageOptions withDiscard(Discard value) {
        return new ImageOptions(readOnly, cache, value, locked);
    }

    public ImageOptions withLocked(boolean value) {
        return new ImageOptions(readOnly, cache, discard, value);
    }
}
