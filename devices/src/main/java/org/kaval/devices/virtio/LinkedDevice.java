package org.kaval.devices.virtio;

import org.jspecify.annotations.Nullable;

/// What all devices here have: a name, and what they are connected to.
abstract class LinkedDevice implements VirtioDevice {
    private final String name;
    private @Nullable VirtioLink link;

    /// @param name for threads and messages
    LinkedDevice(String name) {
        this.name = name;
    }

    @Override
    public final String name() {
        return name;
    }

    @Override
    public void attach(VirtioLink newLink) {
        link = newLink;
    }

    /// What it is connected to.
    ///
    /// @throws IllegalStateException if it is not yet
    final VirtioLink link() {
        VirtioLink attached = link;
        if (attached == null) {
            throw new IllegalStateException(name + " is not attached");
        }
        return attached;
    }

    /// Runs `change`, which changes the configuration space; a driver that there may be is told.
    final void changeConfig(Runnable change) {
        VirtioLink attached = link;
        if (attached == null) {
            change.run();
        } else {
            attached.changeConfig(change);
        }
    }
}
