package org.kaval.devices.block;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.IoVector;

/// Reads the disk in a qcow2 image. Any thread; no lock is held while the file is read.
final class Qcow2Reader {
    private final BlockFile file;
    private final ClusterMap map;
    private final CompressedClusters compressed;
    private final @Nullable BlockImage backing;

    Qcow2Reader(BlockFile file, Qcow2Header header, ClusterMap map, @Nullable BlockImage backing) {
        this.file = file;
        this.map = map;
        this.backing = backing;
        compressed = new CompressedClusters(file, header);
    }

    /// Reads a range that lies within what the L1 table describes, even behind the end of the disk.
    void read(long offset, IoVector into, long from, long length) throws IOException {
        long done = 0;
        while (done < length) {
            Run run = map.lookup(offset + done, length - done);
            long count = run.length;
            try {
                long at = from + done;
                switch (run.kind) {
                    case DATA -> file.read(run.host, into, at, count);
                    case ZERO -> into.fillWithZeroes(at, count);
                    case ABSENT -> readBelow(offset + done, into, at, count);
                    case COMPRESSED -> compressed.read(run.entry, offset + done, into, at, count);
                }
            } finally {
                map.done(run);
            }
            done += count;
        }
    }

    /// {@link #read} if that need not wait for a disk.
    ///
    /// @return false if it would; some of the bytes may have been filled nevertheless
    boolean tryRead(long offset, IoVector into, long from, long length) throws IOException {
        long done = 0;
        while (done < length) {
            Run run = map.find(offset + done, length - done);
            if (run == null) {
                return false;
            }
            long count = run.length;
            try {
                long at = from + done;
                boolean read =
                        switch (run.kind) {
                            case DATA -> file.tryRead(run.host, into, at, count);
                            case ZERO -> {
                                into.fillWithZeroes(at, count);
                                yield true;
                            }
                            case ABSENT -> tryReadBelow(offset + done, into, at, count);
                            case COMPRESSED -> false; // takes as long as a disk
                        };
                if (!read) {
                    return false;
                }
            } finally {
                map.done(run);
            }
            done += count;
        }
        return true;
    }

    private boolean tryReadBelow(long offset, IoVector into, long from, long length)
            throws IOException {
        long there = Math.clamp(sizeBelow() - offset, 0, length);
        if (backing != null && there > 0 && !backing.tryRead(offset, into, from, there)) {
            return false;
        }
        into.fillWithZeroes(from + there, length - there);
        return true;
    }

    private void readBelow(long offset, IoVector into, long from, long length) throws IOException {
        long there = Math.min(length, sizeBelow() - offset);
        if (backing != null && there > 0) {
            backing.read(offset, into, from, there);
        } else {
            there = 0;
        }
        into.fillWithZeroes(from + there, length - there);
    }

    /// How much of the disk there is in the image below.
    long sizeBelow() {
        return backing == null ? 0 : backing.size();
    }

    /// Whether a range is zeroes, as far as can be told without reading it.
    boolean isZero(long offset, long length) throws IOException {
        long done = 0;
        while (done < length) {
            Run run = map.lookup(offset + done, length - done);
            boolean zero =
                    switch (run.kind) {
                        case DATA, COMPRESSED -> false;
                        case ZERO -> true;
                        case ABSENT -> offset + done >= sizeBelow();
                    };
            done += run.length;
            map.done(run);
            if (!zero) {
                return false;
            }
        }
        return true;
    }

    Extent extent(long offset, long limit) throws IOException {
        Run run = map.lookup(offset, limit);
        try {
            Extent.Kind kind =
                    switch (run.kind) {
                        case DATA, COMPRESSED -> Extent.Kind.DATA;
                        case ZERO -> Extent.Kind.ZERO;
                        case ABSENT -> Extent.Kind.ABSENT;
                    };
            return new Extent(kind, run.length);
        } finally {
            map.done(run);
        }
    }
}
