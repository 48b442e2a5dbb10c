package org.kaval.devices.virtio;

/// What a guest says of its memory (§5.5.6.3). All of it is the guest's word, and may be anything.
///
/// Memory is in bytes, the rest are counts since the guest's start; -1 is what it has not said.
///
/// @param swappedIn bytes that have been read from swap
/// @param swappedOut bytes that have been written to swap
/// @param majorFaults page faults that had to wait for a disk
/// @param minorFaults those that had not
/// @param free memory that is used for nothing
/// @param total all memory that the guest has for itself, without the balloon
/// @param available what programs could have without swapping
/// @param caches what could be given back at once
public record BalloonStatistics(
        long swappedIn,
        long swappedOut,
        long majorFaults,
        long minorFaults,
        long free,
        long total,
        long available,
        long caches) {
    /// How many of the tags are known here: 0 to 7.
    static final int TAGS = 8;

    /// @param values by their tags
    static BalloonStatistics of(long[] values) {
        return new BalloonStatistics(
                values[0], values[1], values[2], values[3], values[4], values[5], values[6],
                values[7]);
    }
}
