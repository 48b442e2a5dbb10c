package org.kaval.devices.block;

import java.io.IOException;
import java.util.zip.Deflater;

/// Copies an image into a new qcow2 image whose clusters are compressed with zlib; those stay as
/// they are that would not become smaller, and those are left out that are zeroes.
///
/// Of one thread.
final class CompressedCopy implements AutoCloseable {
    private final Qcow2Image to;
    private final int clusterSize;
    private final Buffer cluster;
    private final Buffer packed;
    private final Deflater deflater = new Deflater(Deflater.DEFAULT_COMPRESSION, true);

    CompressedCopy(Qcow2Image to) {
        this.to = to;
        clusterSize = to.header().clusterSize();
        cluster = Buffer.allocate(clusterSize);
        packed = Buffer.allocate(clusterSize);
    }

    /// Copies all of an image of the same size.
    void of(BlockImage from, Progress progress) throws IOException {
        long size = from.size();
        for (long at = 0; at < size; ) {
            progress.at(at, size);
            Extent extent = Layers.extent(from, at, size - at);
            if (extent.kind() != Extent.Kind.DATA && extent.length() >= clusterSize) {
                at += extent.length() & -clusterSize;
                continue;
            }
            copyCluster(from, at, Math.min(clusterSize, size - at));
            at += clusterSize;
        }
        progress.at(size, size);
    }

    private void copyCluster(BlockImage from, long at, long length) throws IOException {
        from.read(at, cluster.vector(), 0, length);
        cluster.vector().fillWithZeroes(length, clusterSize - length);
        if (Zeroes.are(cluster.bytes())) {
            return;
        }
        int size = deflate();
        if (size > 0) {
            to.writeCompressed(at, packed, size);
        } else {
            to.write(at, cluster.vector(), 0, length);
        }
    }

    /// @return how many bytes; 0 if they would be no fewer than before
    private int deflate() {
        deflater.reset();
        deflater.setInput(cluster.bytes().asByteBuffer());
        deflater.finish();
        int size = deflater.deflate(packed.bytes().asSlice(0, clusterSize - 1).asByteBuffer());
        return deflater.finished() ? size : 0;
    }

    @Override
    public void close() {
        deflater.close();
    }
}
