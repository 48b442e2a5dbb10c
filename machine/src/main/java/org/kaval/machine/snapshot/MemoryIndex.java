package org.kaval.machine.snapshot;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.kaval.memory.Backing;

/// Which pages of its memory a snapshot has that lies over another: pairs of an offset in the file
/// and a length, in bytes, 8 bytes each, little-endian; in ascending order.
final class MemoryIndex {
    private static final int ENTRY = 2 * Long.BYTES;

    private MemoryIndex() {}

    static byte[] encode(List<Backing.Run> runs) {
        ByteBuffer bytes =
                ByteBuffer.allocate(Math.multiplyExact(runs.size(), ENTRY))
                        .order(ByteOrder.LITTLE_ENDIAN);
        for (Backing.Run run : runs) {
            bytes.putLong(run.offset()).putLong(run.length());
        }
        return bytes.array();
    }

    /// @throws IllegalArgumentException if it is none; where the runs lie is not looked at
    static List<Backing.Run> decode(byte[] bytes) {
        if (bytes.length % ENTRY != 0) {
            throw new IllegalArgumentException("%d bytes are no index".formatted(bytes.length));
        }
        ByteBuffer from = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        var runs = new ArrayList<Backing.Run>(bytes.length / ENTRY);
        while (from.hasRemaining()) {
            runs.add(new Backing.Run(from.getLong(), from.getLong()));
        }
        return runs;
    }
}
