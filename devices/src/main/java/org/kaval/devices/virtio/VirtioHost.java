package org.kaval.devices.virtio;

import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Doorbells;
import org.kaval.memory.GuestMemory;

/// What a machine has for its virtio devices, whatever their transport.
///
/// @param memory the guest's
/// @param doorbells let the guest's notifications wake a device without an exit
/// @param onBug is told of a bug that came out of a thread of a device's
/// @param observer is told what driver and device do, by any thread and with locks held: it may not
///   wait. The text is made when it is asked for. Null for none, which costs nothing
public record VirtioHost(
        GuestMemory memory,
        Doorbells doorbells,
        Consumer<Throwable> onBug,
        @Nullable Consumer<Supplier<String>> observer) {
    /// One without an observer.
    public VirtioHost(GuestMemory memory, Doorbells doorbells, Consumer<Throwable> onBug) {
        this(memory, doorbells, onBug, null);
    }
}
