package org.kaval.devices.virtio;

import java.util.concurrent.atomic.LongAdder;
import org.kaval.devices.net.NetTraffic;

/// What has gone in one direction, of all queues together, since the device was made. Any thread.
public final class NetCounters {
    private final LongAdder frames = new LongAdder();
    private final LongAdder bytes = new LongAdder();
    private final LongAdder dropped = new LongAdder();
    private final LongAdder filtered = new LongAdder();

    NetCounters() {}

    void count(long size) {
        frames.increment();
        bytes.add(size);
    }

    void drop() {
        dropped.increment();
    }

    void filter() {
        filtered.increment();
    }

    NetTraffic.Count total() {
        return new NetTraffic.Count(frames(), bytes(), dropped());
    }

    /// How many frames have been delivered.
    public long frames() {
        return frames.sum();
    }

    /// How many bytes they had.
    public long bytes() {
        return bytes.sum();
    }

    /// How many were lost: malformed, too large, or nobody there.
    public long dropped() {
        return dropped.sum();
    }

    /// How many the driver did not want, or the link was down.
    public long filtered() {
        return filtered.sum();
    }
}
