package org.kaval.devices.block;

/// Is told how far a long operation is. Called by the thread that does it.
@FunctionalInterface
public interface Progress {
    /// For who does not want to know.
    Progress NONE = (_, _) -> {};

    /// @param done of `total`, in units of the operation
    void at(long done, long total);
}
