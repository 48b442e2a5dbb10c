package org.kaval.devices.block;

import java.util.List;

/// What a check of an image has found.
///
/// @param corruptions references to clusters that are not counted as often, or cannot be there: the
///   image must not be written
/// @param leaks clusters that are counted more often than they are used: they take space, and do no
///   harm
/// @param repaired how many of them are mended now
/// @param problems the first of them, a line each
/// @param allocated clusters that the disk has
/// @param total clusters that the disk could have
/// @param end of the last cluster that is in use, in bytes
public record CheckResult(
        long corruptions,
        long leaks,
        long repaired,
        List<String> problems,
        long allocated,
        long total,
        long end) {
    /// Whether all is well, now that what could be mended is.
    public boolean isClean() {
        return corruptions + leaks == repaired;
    }
}
