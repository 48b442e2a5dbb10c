package org.kaval.devices.block;

import java.io.IOException;

/// Clusters that nothing in memory refers to any more, but the tables in the file still do, and
/// requests under way may. They are freed when the tables are on the disk and the requests are
/// done: until then they must not be used for anything else.
///
/// Under the lock of the image.
final class Condemned {
    /// How many ranges are too many to keep waiting.
    private static final int MANY = 4096;

    private final Ranges clusters = new Ranges();

    void add(long offset, long length) {
        clusters.add(offset, length);
    }

    boolean isEmpty() {
        return clusters.count() == 0;
    }

    boolean crowded() {
        return clusters.count() >= MANY;
    }

    /// Frees them.
    void release(Refcounts refcounts) throws IOException {
        for (int i = 0; i < clusters.count(); i++) {
            refcounts.release(clusters.offset(i), clusters.length(i));
        }
        clusters.clear();
    }
}
