package org.kaval.devices.block;

/// Where the tables are that every qcow2 image has: the header, the L1 table, the refcount table,
/// the snapshot table. No other cluster may be there.
///
/// @param clusterSize the unit in which tables take space
record FixedTables(
        String name,
        int clusterSize,
        long l1Offset,
        long l1Bytes,
        long refcountTableOffset,
        long refcountTableBytes,
        long snapshotsOffset,
        long snapshotsBytes) {
    static FixedTables of(Qcow2Header header, long snapshotsBytes) {
        return new FixedTables(
                header.name(),
                header.clusterSize(),
                header.l1Offset(),
                (long) header.l1Size() * Long.BYTES,
                header.refcountTableOffset(),
                (long) header.refcountTableClusters() << header.clusterBits(),
                header.snapshotsOffset(),
                snapshotsBytes);
    }

    FixedTables withL1(long offset, long bytes) {
        return new FixedTables(
                name,
                clusterSize,
                offset,
                bytes,
                refcountTableOffset,
                refcountTableBytes,
                snapshotsOffset,
                snapshotsBytes);
    }

    FixedTables withRefcountTable(long offset, long bytes) {
        return new FixedTables(
                name,
                clusterSize,
                l1Offset,
                l1Bytes,
                offset,
                bytes,
                snapshotsOffset,
                snapshotsBytes);
    }

    /// Whether a cluster is free of them.
    boolean allows(long cluster) {
        return cluster >= clusterSize
                && !overlaps(cluster, l1Offset, l1Bytes)
                && !overlaps(cluster, refcountTableOffset, refcountTableBytes)
                && !overlaps(cluster, snapshotsOffset, snapshotsBytes);
    }

    private boolean overlaps(long cluster, long offset, long bytes) {
        return bytes > 0 && cluster > offset - clusterSize && cluster < offset + bytes;
    }
}
