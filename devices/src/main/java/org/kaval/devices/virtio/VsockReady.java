package org.kaval.devices.virtio;

import org.jspecify.annotations.Nullable;

/// The connections that have something to send to the guest, in turn. Allocates nothing. One
/// thread.
final class VsockReady {
    private @Nullable VsockConnection first;
    private @Nullable VsockConnection last;

    /// Adds one at the end, unless it is there already.
    void add(VsockConnection connection) {
        if (connection.queued) {
            return;
        }
        connection.queued = true;
        if (last == null) {
            first = connection;
        } else {
            last.next = connection;
        }
        last = connection;
    }

    boolean isEmpty() {
        return first == null;
    }

    /// Takes the first out.
    @Nullable VsockConnection poll() {
        VsockConnection taken = first;
        if (taken != null) {
            first = taken.next;
            last = first == null ? null : last;
            taken.next = null;
            taken.queued = false;
        }
        return taken;
    }
}
