package org.kaval.devices.block;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/// An image together with those below it.
final class Layers {
    private Layers() {}

    /// What is at `offset`, taken all layers together: data or zeroes.
    static Extent extent(BlockImage image, long offset, long limit) throws IOException {
        Extent top = image.extent(offset, limit);
        if (top.kind() != Extent.Kind.ABSENT) {
            return top;
        }
        BlockImage below = below(image);
        long there = below == null ? 0 : Math.min(below.size() - offset, top.length());
        return below == null || there <= 0
                ? new Extent(Extent.Kind.ZERO, top.length())
                : extent(below, offset, there);
    }

    static @Nullable BlockImage below(BlockImage image) {
        return image instanceof Qcow2Image qcow2 ? qcow2.backing() : null;
    }

    /// The ranges of an image that it has itself, one after the other.
    interface Visitor {
        void at(long offset, Extent extent) throws IOException;
    }

    /// Visits all of an image, in steps of at most `step` bytes.
    static void visit(BlockImage image, long step, Progress progress, Visitor visitor)
            throws IOException {
        long size = image.size();
        for (long at = 0; at < size; ) {
            progress.at(at, size);
            Extent extent = image.extent(at, size - at);
            boolean data = extent.kind() != Extent.Kind.ZERO;
            long length = data ? Math.min(extent.length(), step) : extent.length();
            visitor.at(at, new Extent(extent.kind(), length));
            at += length;
        }
        progress.at(size, size);
    }
}
