package org.kaval.devices.block;

import java.io.IOException;

/// Where compressed clusters go in a qcow2 image: one behind the other, several into one of the
/// file's clusters, which counts them all. For images that nobody frees clusters of meanwhile.
///
/// Under the lock of the image.
final class CompressedPlaces {
    private final Refcounts refcounts;
    private final int clusterBits;
    private final long most; // references to a cluster

    /// Behind what was given last; 0 if nothing was. Its cluster is full where a cluster begins.
    private long next;

    CompressedPlaces(Refcounts refcounts, Qcow2Header header) {
        this.refcounts = refcounts;
        clusterBits = header.clusterBits();
        most = -1L >>> (Long.SIZE - (1 << header.refcountOrder()));
    }

    /// Takes `length` bytes, fewer than a cluster has.
    ///
    /// @return the offset of the first
    long take(int length) throws IOException {
        long room = -next & ((1L << clusterBits) - 1);
        long cluster = next >>> clusterBits;
        boolean shares = room > 0 && Long.compareUnsigned(refcounts.get(cluster), most) < 0;
        long place = next;
        if (!shares || length > room) {
            long more = refcounts.allocate(1);
            if (!shares || more != next + room) {
                next = more + length;
                return more;
            }
        }
        refcounts.set(cluster, refcounts.get(cluster) + 1);
        next = place + length;
        return place;
    }
}
