package org.kaval.devices;

/// A part of a machine whose state goes into snapshots.
///
/// ```
/// hold ──► awaitIdle ──► persist ──► release           for a snapshot
/// hold ──► awaitIdle ──► persist ──► restored ──► release   of a new one, when one is restored
/// ```
///
/// These are called by one thread, while no vCPU runs. What the host does may reach the part all
/// the same, so it takes its own lock.
///
/// What a device has told the guest by an interrupt may be on its way through the kernel when the
/// state is read, and be in neither then. So {@link #restored} says it again; a driver finds
/// nothing to do, at worst.
public interface Persistent {
    /// Begins nothing new until {@link #release}: no request is taken from the guest.
    default void hold() {}

    /// Waits until what has begun before {@link #hold} has ended.
    ///
    /// @return false if it has not within so many nanoseconds
    default boolean awaitIdle(long nanos) throws InterruptedException {
        return true;
    }

    /// Goes on after {@link #hold}.
    default void release() {}

    /// Hands each field of the state to `state`, and keeps what that returns.
    ///
    /// @throws StateException if the saved state cannot be that of such a part
    void persist(StateFields state);

    /// The whole machine has its state again: timers are set, and interrupts that may have been
    /// lost on their way are repeated.
    default void restored() {}
}
