package org.kaval.devices.block;

import static org.kaval.devices.block.Qcow2.BE16;
import static org.kaval.devices.block.Qcow2.BE32;
import static org.kaval.devices.block.Qcow2.BE64;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// The internal snapshots of an image: read, and never changed. Their clusters have a reference
/// count of their own, so that writing goes elsewhere.
final class Qcow2Snapshots {
    /// The bytes of an entry without what it has as it likes.
    static final int SMALLEST = 40;

    private static final int MAX_ENTRY = 2 << 16;
    private static final int MAX_TABLE = 16 << 20; // more than that would be read for hours

    private Qcow2Snapshots() {}

    /// One of them.
    ///
    /// @param l1Offset of its L1 table
    /// @param l1Size entries of it
    /// @param seconds when it was taken, since 1970
    /// @param stateBytes how large the machine's saved state is
    record Snapshot(
            String id, String title, long l1Offset, int l1Size, long seconds, long stateBytes) {}

    /// What the table says and how many bytes it has.
    record Found(List<Snapshot> snapshots, long tableBytes) {}

    static Found read(BlockFile file, Qcow2Header header) throws IOException {
        if (header.snapshotCount() == 0) {
            return new Found(List.of(), 0);
        }
        var snapshots = new ArrayList<Snapshot>();
        Buffer buffer = Buffer.allocate(SMALLEST + MAX_ENTRY * 2L);
        long at = header.snapshotsOffset();
        for (int i = 0; i < header.snapshotCount(); i++) {
            if (at - header.snapshotsOffset() > MAX_TABLE) {
                throw new CorruptImageException(
                        header.name(),
                        at,
                        "a snapshot table of more than %d bytes, expected less"
                                .formatted(MAX_TABLE));
            }
            file.read(at, buffer.vector(), 0, buffer.bytes().byteSize());
            at += add(snapshots, header, at, buffer.bytes());
        }
        return new Found(List.copyOf(snapshots), at - header.snapshotsOffset());
    }

    private static long add(List<Snapshot> into, Qcow2Header header, long at, MemorySegment entry)
            throws CorruptImageException {
        int idSize = Short.toUnsignedInt(entry.get(BE16, 12));
        int titleSize = Short.toUnsignedInt(entry.get(BE16, 14));
        int extra = entry.get(BE32, 36);
        if (extra < 0 || extra > 1024) {
            throw new CorruptImageException(
                    header.name(),
                    at + 36,
                    "%s bytes of extra data of a snapshot, expected at most 1024"
                            .formatted(Integer.toUnsignedString(extra)));
        }
        long idAt = (long) SMALLEST + extra;
        var snapshot =
                new Snapshot(
                        text(entry, idAt, idSize),
                        text(entry, idAt + idSize, titleSize),
                        entry.get(BE64, 0),
                        entry.get(BE32, 8),
                        Integer.toUnsignedLong(entry.get(BE32, 16)),
                        extra >= Long.BYTES
                                ? entry.get(BE64, SMALLEST)
                                : Integer.toUnsignedLong(entry.get(BE32, 32)));
        long offset = snapshot.l1Offset();
        if (snapshot.l1Size() < 0
                || snapshot.l1Size() > Qcow2.MAX_L1_BYTES / Long.BYTES
                || offset < 0
                || offset % header.clusterSize() != 0) {
            throw new CorruptImageException(
                    header.name(),
                    at,
                    "a snapshot's L1 table at 0x%x with %s entries, expected at a cluster and at"
                                    .formatted(offset, Integer.toUnsignedString(snapshot.l1Size()))
                            + " most %d".formatted(Qcow2.MAX_L1_BYTES / Long.BYTES));
        }
        into.add(snapshot);
        return (idAt + idSize + titleSize + 7) & -8;
    }

    private static String text(MemorySegment entry, long at, int size) {
        byte[] bytes = entry.asSlice(at, size).toArray(ValueLayout.JAVA_BYTE);
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
