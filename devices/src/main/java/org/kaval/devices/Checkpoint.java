package org.kaval.devices;

import java.io.IOException;

/// What work that takes long passes every few milliseconds, as whoever wants it may not want it any
/// more.
@FunctionalInterface
public interface Checkpoint {
    /// Lets everything pass.
    Checkpoint NONE = () -> {};

    /// @throws IOException if the work is not wanted any more: it ends with that
    void pass() throws IOException;
}
