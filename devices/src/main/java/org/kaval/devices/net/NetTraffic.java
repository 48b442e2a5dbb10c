package org.kaval.devices.net;

/// What has passed a network device since it was made, as its guest sees it, of all queues
/// together.
///
/// @param received for the guest
/// @param sent by the guest
public record NetTraffic(Count received, Count sent) {
    /// Of one direction. A large frame, which others cut up, is one.
    ///
    /// @param frames that were delivered
    /// @param bytes that these had, from their Ethernet header on
    /// @param dropped frames that were lost
    public record Count(long frames, long bytes, long dropped) {
        private Count minus(Count before) {
            return new Count(
                    frames - before.frames, bytes - before.bytes, dropped - before.dropped);
        }
    }

    /// What has passed since `before`.
    NetTraffic minus(NetTraffic before) {
        return new NetTraffic(received.minus(before.received), sent.minus(before.sent));
    }
}
