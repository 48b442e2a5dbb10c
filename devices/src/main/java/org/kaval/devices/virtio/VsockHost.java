package org.kaval.devices.virtio;

import org.jspecify.annotations.Nullable;

/// Where the host's ends of connections come from. One thread; nothing blocks.
interface VsockHost {
    /// Connects to whoever listens for the guest at `port`, which is unsigned.
    ///
    /// @return null if nobody does
    @Nullable HostStream connect(int port);

    /// Takes the next client that wants to be connected to the guest.
    ///
    /// @return null if there is none
    @Nullable HostStream accept();
}
