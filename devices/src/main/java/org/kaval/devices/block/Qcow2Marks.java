package org.kaval.devices.block;

import java.io.IOException;

/// The marks "copied" of the entries of the L1 table and the L2 tables: that what the entry refers
/// to has one reference, and may be written where it is.
final class Qcow2Marks {
    private Qcow2Marks() {}

    /// Is told of marks that are wrong.
    interface Visitor {
        /// @param at where the entry is in the file
        /// @param entry what it is
        /// @param right what it should be
        void wrong(long at, long entry, long right) throws IOException;
    }

    static void visit(BlockFile file, Qcow2Header header, References references, Visitor visitor)
            throws IOException {
        long fileSize = file.size();
        int step = header.l2EntrySize() / Long.BYTES;
        long[] l1 = ClusterMap.readTable(file, header.l1Offset(), header.l1Size());
        for (int i = 0; i < l1.length; i++) {
            long table = l1[i] & Qcow2.OFFSET_MASK;
            if (table == 0 || table % header.clusterSize() != 0 || table >= fileSize) {
                continue;
            }
            visit(header, references, header.l1Offset() + (long) i * Long.BYTES, l1[i], visitor);
            long[] l2 = ClusterMap.readTable(file, table, header.clusterSize() / Long.BYTES);
            for (int j = 0; j < l2.length; j += step) {
                visit(header, references, table + (long) j * Long.BYTES, l2[j], visitor);
            }
        }
    }

    private static void visit(
            Qcow2Header header, References references, long at, long entry, Visitor visitor)
            throws IOException {
        long offset = entry & Qcow2.OFFSET_MASK;
        boolean one =
                (entry & Qcow2.COMPRESSED) == 0
                        && references.count(offset >>> header.clusterBits()) == 1;
        boolean marked = (entry & Qcow2.COPIED) != 0;
        if (offset != 0 && one != marked && offset % header.clusterSize() == 0) {
            visitor.wrong(at, entry, one ? entry | Qcow2.COPIED : entry & ~Qcow2.COPIED);
        }
    }
}
