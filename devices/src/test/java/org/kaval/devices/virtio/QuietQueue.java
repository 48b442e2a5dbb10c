package org.kaval.devices.virtio;

import org.jspecify.annotations.Nullable;
import org.kaval.devices.net.NetQueue;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.IoVector;

/// Another end that nothing comes from, and that takes nothing.
class QuietQueue implements NetQueue {
    @Override
    public long peek() throws ErrnoException {
        return WOULD_WAIT;
    }

    @Override
    public long receive(IoVector into) throws ErrnoException {
        return WOULD_WAIT;
    }

    @Override
    public long send(IoVector frame) throws ErrnoException {
        return WOULD_WAIT;
    }

    @Override
    public @Nullable Fd input() {
        return null;
    }

    @Override
    public @Nullable Fd output() {
        return null;
    }
}
