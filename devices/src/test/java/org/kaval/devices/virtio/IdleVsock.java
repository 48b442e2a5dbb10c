package org.kaval.devices.virtio;

import java.util.Collections;
import java.util.List;

/// A vsock device that does nothing by itself: what it would do is the test's.
final class IdleVsock implements VirtioDevice {
    @Override
    public String name() {
        return "vsock";
    }

    @Override
    public int type() {
        return 19;
    }

    @Override
    public long features() {
        return VirtioVsock.F_STREAM;
    }

    @Override
    public List<Integer> queueSizes() {
        return Collections.nCopies(3, VirtioVsock.QUEUE_SIZE);
    }

    @Override
    public ConfigSpace config() {
        return new ConfigSpace(0);
    }

    @Override
    public void attach(VirtioLink link) {}

    @Override
    public void activate(long features) {}

    @Override
    public void reset() {}

    @Override
    public void close() {}
}
