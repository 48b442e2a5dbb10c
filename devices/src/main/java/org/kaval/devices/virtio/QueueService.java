package org.kaval.devices.virtio;

/// What serves the requests of a queue while its device is active.
interface QueueService extends AutoCloseable {
    /// Returns when no request is under way. The queue gives out no more by then.
    @Override
    void close();
}
