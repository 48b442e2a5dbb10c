package org.kaval.devices.virtio;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import org.kaval.linux.IoVector;

/// What the connections of a device share, as one is worked on at a time. One thread.
final class VsockWorkspace {
    /// Backlogs that nobody uses and that are kept.
    private static final int SPARE = 16;

    /// For any use that ends with the call.
    final IoVector vector = new IoVector(IoVector.MAX_COUNT);

    /// For a line, likewise.
    final MemorySegment text = Arena.ofAuto().allocate(32);

    private final Deque<VsockBacklog> spare = new ArrayDeque<>();

    VsockBacklog takeBacklog() {
        VsockBacklog backlog = spare.poll();
        return backlog == null ? new VsockBacklog(VsockConnection.BUFFER) : backlog;
    }

    void giveBack(VsockBacklog backlog) {
        backlog.clear();
        if (spare.size() < SPARE) {
            spare.add(backlog);
        }
    }
}
